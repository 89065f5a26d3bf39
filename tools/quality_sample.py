"""A sample of ordinary and of degraded photographs of many people, embedded by one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from degradation import KINDS, degrade
from numpy.typing import NDArray

from faceprint.errors import DatasetError
from faceprint.types import Array, Face
from faceprint.vision import images
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["Job", "Sample", "collect", "draw", "in_half", "read_sample", "write_sample"]

_PHOTOGRAPHS = 3
"""Of one person, undegraded."""
_KINDS = 4
"""Of degradation, each on the same photograph of a person."""
_LONERS = 500
"""People with one photograph, of each data set at most."""
_SAME = 0.6
"""Of the face's width: how far from its place it may be found after the degradation."""
_FIELDS = ("data_set", "person", "kind", "photo", "vectors", "norms", "crop", "size", "sharpness")

Job = tuple[str, str, Path, str]
"""Data set, person, photograph, and the kind of degradation; "" for none."""
Strings = NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """n faces.

    Attributes:
        data_set, person, kind, photo: (n,) text; kind is "" for photographs as they are.
        vectors: (n, d) float32 unit rows. norms: (n,) lengths before normalization.
        crop: (n,) the quality by the crop alone. size, sharpness: (n,) of `Quality`.
        jobs: how many photographs were tried; the others showed no face.
    """

    data_set: Strings
    person: Strings
    kind: Strings
    photo: Strings
    vectors: Array
    norms: Array
    crop: Array
    size: Array
    sharpness: Array
    jobs: int

    @property
    def ordinary(self) -> NDArray[np.bool_]:
        """(n,) which photographs are as they were."""
        return np.asarray(self.kind == "", bool)

    @property
    def half(self) -> NDArray[np.bool_]:
        """(n,) True for the half of the people on which things are chosen; the rest reports."""
        return np.asarray(self._hashes % 2 == 0, bool)

    @property
    def fold(self) -> NDArray[np.int_]:
        """(n,) one of four parts of the people of each half."""
        return np.asarray(self._hashes // 2 % 4, int)

    @property
    def _hashes(self) -> NDArray[np.int_]:
        return np.asarray([crc32(name.encode()) for name in self.person], int)

    def pick(self, which: NDArray[np.bool_]) -> Sample:
        """The chosen faces."""
        return _sample({name: getattr(self, name)[which] for name in _FIELDS}, self.jobs)


def in_half(person: str) -> bool:
    """Whether a person belongs to the half on which things are chosen; see `Sample.half`."""
    return crc32(person.encode()) % 2 == 0


def draw(folders: Mapping[str, Path], seed: int = 7) -> list[Job]:
    """What is photographed: a list in drawn order, so that its beginning is a sample of it all.

    Args:
        folders: a name and a folder (one folder of photographs for each person) of each data set.

    Raises:
        DatasetError: a folder holds nobody.
    """
    rng = np.random.default_rng(seed)
    jobs: list[Job] = []
    for name, folder in folders.items():
        people = [(p.name, sorted(p.glob("*.*"))) for p in sorted(folder.iterdir()) if p.is_dir()]
        if not people:
            raise DatasetError(f"{folder}: no folder of photographs for each person")
        loners = [index for index, (_, photos) in enumerate(people) if len(photos) == 1]
        left_out = set(rng.permutation(loners)[_LONERS:].tolist())
        for index, (person, photos) in enumerate(people):
            if index in left_out or not photos:
                continue
            jobs += [(name, person, photo, "") for photo in photos[:_PHOTOGRAPHS]]
            poor = photos[:_PHOTOGRAPHS][-1]
            jobs += [(name, person, poor, str(k)) for k in rng.permutation(KINDS)[:_KINDS]]
    return [jobs[index] for index in rng.permutation(len(jobs))]


def collect(
    fp: FaceAnalyzer,
    reference: FaceAnalyzer,
    jobs: list[Job],
    progress: Callable[[int, int], None] | None = None,
) -> Sample:
    """Degrade, find, embed.

    Args:
        fp: the models whose embeddings are wanted.
        reference: finds the face in the photograph as it is, which the strengths go by.
        progress: called with the number of photographs done, of how many.
    """
    rows: list[tuple[Job, Face]] = []
    for done, (job, face) in enumerate(_faces(fp, reference, jobs), 1):
        if face is not None and face.embedding is not None and face.quality is not None:
            rows.append((job, face))
        if progress is not None:
            progress(done, len(jobs))
    text = [np.asarray(column, np.str_) for column in zip(*(job for job, _ in rows), strict=True)]
    faces = [face for _, face in rows]
    qualities = [face.quality for face in faces if face.quality is not None]
    embeddings = [face.embedding for face in faces if face.embedding is not None]
    return Sample(
        data_set=text[0],
        person=text[1],
        kind=text[3],
        photo=text[2],
        vectors=np.stack([embedding.vector for embedding in embeddings]),
        norms=np.asarray([embedding.norm for embedding in embeddings], np.float32),
        crop=np.asarray([q.value for q in qualities], np.float32),
        size=np.asarray([q.size for q in qualities], np.float32),
        sharpness=np.asarray([q.sharpness for q in qualities], np.float32),
        jobs=len(jobs),
    )


def write_sample(path: Path, sample: Sample) -> None:
    """Keep a sample as .npz."""
    columns = {name: getattr(sample, name) for name in _FIELDS}
    np.savez_compressed(path, **columns, jobs=np.asarray(sample.jobs))


def read_sample(path: Path) -> Sample:
    """A sample that `write_sample` kept.

    Raises:
        DatasetError: the file is not such a one.
    """
    try:
        with np.load(path, allow_pickle=False) as columns:
            return _sample({name: columns[name] for name in _FIELDS}, int(columns["jobs"]))
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{path}: not a kept sample ({error})") from error


def _sample(columns: Mapping[str, Any], jobs: int) -> Sample:
    return Sample(**columns, jobs=jobs)


def _faces(
    fp: FaceAnalyzer, reference: FaceAnalyzer, jobs: list[Job]
) -> Iterator[tuple[Job, Face | None]]:
    for job in jobs:
        _, person, path, kind = job
        image = images.decode(path)
        middle = np.asarray((image.shape[1], image.shape[0])) / 2
        known = _nearest(reference.analyze(image, embed=False, quality=False), middle)
        if known is None:
            yield job, None
            continue
        picture = image
        if kind:
            rng = np.random.default_rng(crc32(f"{person}/{path.name}/{kind}".encode()))
            picture = np.ascontiguousarray(degrade(image, known.box, kind, rng))
        share = picture.shape[1] / image.shape[1]
        place = (known.box[:2] + known.box[2:]) / 2 * share
        found = _nearest(fp.analyze(picture), place)
        width = float(known.box[2] - known.box[0]) * share
        near = found is not None and _distance(found, place) < _SAME * width
        yield job, found if near else None


def _distance(face: Face, place: Array | NDArray[np.float64]) -> float:
    return float(np.hypot(*((face.box[:2] + face.box[2:]) / 2 - place)))


def _nearest(faces: list[Face], place: Array | NDArray[np.float64]) -> Face | None:
    return min(faces, key=lambda face: _distance(face, place), default=None)
