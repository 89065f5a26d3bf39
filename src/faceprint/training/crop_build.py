"""Fills a crop store from labeled photographs, and lists who has which crops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import DatasetError, DecodeError, FaceprintError
from faceprint.evaluation.datasets import LabeledSet, Picture
from faceprint.training.crop_store import SIZE, CropStore, StoredPhoto
from faceprint.training.people_data import has_names, picture_hashes, picture_names
from faceprint.types import AnalyzedImage
from faceprint.vision import EMBEDDING_VERSION, images
from faceprint.vision.align import align
from faceprint.zoo.card import Alignment
from faceprint.zoo.card_io import TEMPLATES, card_hash
from faceprint.zoo.locks import exclusive

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["ALIGNMENT", "PeopleCrops", "Progress", "build_store", "people_of"]

ALIGNMENT = Alignment("arcface-112", *TEMPLATES["arcface-112"])

_BATCH = 256
"""Photographs that an interruption loses at most."""

Progress = Callable[[int, int], None]
Source = Path | bytes


@dataclass(frozen=True, slots=True, eq=False)
class PeopleCrops:
    """A data set as rows of a crop store.

    Attributes:
        names: of the people.
        pictures: (n,) names of the photographs that have a crop, each photograph once.
        hashes: (n,) their SHA-256.
        rows: (n,) int64 rows of the store.
        subjects: (n,) int64 indices into `names`.
        unusable: names of photographs without a crop, with the reason.
        repeated: photographs that are there twice under one name; one is used.
        conflicting: photographs that are there under two names; none is used.
        several: number of photographs with more than one face.
        named: whether `names` mean anything elsewhere; see `has_names`.
    """

    names: tuple[str, ...]
    pictures: tuple[str, ...]
    hashes: tuple[bytes, ...]
    rows: NDArray[np.int64]
    subjects: NDArray[np.int64]
    unusable: tuple[tuple[str, str], ...] = ()
    repeated: tuple[str, ...] = ()
    conflicting: tuple[str, ...] = ()
    several: int = 0
    named: bool = True

    def counts(self) -> NDArray[np.int64]:
        """(people,) photographs of each."""
        return np.bincount(self.subjects, minlength=len(self.names)).astype(np.int64)

    def only(self, keep: NDArray[np.bool_]) -> PeopleCrops:
        """The photographs of a mask (n,); people without one are left out."""
        left, subjects = np.unique(self.subjects[keep], return_inverse=True)
        places = np.flatnonzero(keep)
        return PeopleCrops(
            tuple(self.names[int(i)] for i in left),
            tuple(self.pictures[int(i)] for i in places),
            tuple(self.hashes[int(i)] for i in places),
            self.rows[keep],
            subjects.astype(np.int64),
            named=self.named,
        )


def build_store(
    data: LabeledSet,
    folder: Path,
    analyzer: FaceAnalyzer | None,
    progress: Progress | None = None,
) -> tuple[CropStore, list[bytes]]:
    """Find and align the faces of all photographs that the store lacks.

    Args:
        data: see `open_people`.
        folder: of the store.
        analyzer: finds the faces, and embeds them for cleaning. None: the pictures are crops that
            are aligned already, of 112x112 pixels.
        progress: called with how many photographs are done, of how many are new.

    Returns:
        The store, and the SHA-256 of each picture; empty where it can't be read.

    Raises:
        DatasetError: a file is gone, or the store can't be used.
        ModelError: the models can't be loaded.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / ".lock", what=f"the crop store {folder}"):
            return _fill(data, folder, analyzer, progress)
    except OSError as error:
        raise DatasetError(f"{folder}: {error.strerror or error}") from error


def _fill(
    data: LabeledSet,
    folder: Path,
    analyzer: FaceAnalyzer | None,
    progress: Progress | None,
) -> tuple[CropStore, list[bytes]]:
    if analyzer is None:
        store = CropStore(folder, {"detector": "aligned", "embedder": ""}, 0)
    else:
        found, embedder = analyzer.detector_card, analyzer.embedder_card
        facts = {
            "detector": f"{found.id} {card_hash(found)}",
            "embedder": f"{embedder.id} {card_hash(embedder)}",
            "version": EMBEDDING_VERSION,
        }
        store = CropStore(folder, facts, embedder.dim or 0)
    hashes = picture_hashes(data, folder)
    todo = {h: i for i, h in enumerate(hashes) if h and h not in store}
    done = 0
    work = iter(todo.items())
    while places := list(itertools.islice(work, _BATCH)):
        batch = [(sha256, _source(data.pictures[i])) for sha256, i in places]
        store.add(_aligned(batch) if analyzer is None else _analyzed(batch, analyzer))
        done += len(batch)
        if progress:
            progress(done, len(todo))
    return store, hashes


def _source(picture: Picture) -> Source:
    return picture.source if isinstance(picture.source, Path) else picture.read()


def _aligned(batch: Sequence[tuple[bytes, Source]]) -> Iterator[StoredPhoto]:
    for sha256, source in batch:
        try:
            crop = images.decode(source)
        except DecodeError as error:
            yield StoredPhoto(sha256, 0, str(error))
            continue
        height, width = crop.shape[:2]
        if (width, height) != (SIZE, SIZE):
            yield StoredPhoto(sha256, 0, f"{width}x{height} pixels, not {SIZE}x{SIZE}")
        else:
            yield StoredPhoto(sha256, 1, crop=crop)


def _analyzed(
    batch: Sequence[tuple[bytes, Source]], analyzer: FaceAnalyzer
) -> Iterator[StoredPhoto]:
    same = analyzer.embedder_card.alignment == ALIGNMENT
    results = analyzer.analyze_many([source for _, source in batch], keep_crops=same, quality=False)
    for (sha256, source), item in zip(batch, results, strict=True):
        yield _stored(sha256, source, item)


def _stored(sha256: bytes, source: Source, item: AnalyzedImage) -> StoredPhoto:
    if item.error is not None:
        if not isinstance(item.error, FaceprintError):
            raise item.error
        return StoredPhoto(sha256, 0, str(item.error))
    if not item.faces:
        return StoredPhoto(sha256, 0, "no face")
    face = item.faces[0]
    crop = face.crop
    if crop is None:
        points = None if face.landmarks is None else face.landmarks[None]
        crop = align(images.decode(source), points, face.box[None], ALIGNMENT)[0]
    vector = None if face.embedding is None else face.embedding.vector
    return StoredPhoto(sha256, len(item.faces), "", crop, vector)


def people_of(data: LabeledSet, store: CropStore, hashes: Sequence[bytes]) -> PeopleCrops:
    """The people's crops; see `build_store` for `hashes`.

    Raises:
        DatasetError: fewer than two people have a crop.
    """
    owners: dict[bytes, set[int]] = {}
    for sha256, subject in zip(hashes, data.subjects.tolist(), strict=True):
        owners.setdefault(sha256, set()).add(subject)
    used: dict[bytes, tuple[str, int]] = {}
    unusable, repeated, conflicting = [], [], []
    for name, subject, sha256 in zip(
        picture_names(data), data.subjects.tolist(), hashes, strict=True
    ):
        if not sha256:
            unusable.append((name, "can't be read"))
        elif store.row(sha256) is None:
            unusable.append((name, store.reason(sha256)))
        elif len(owners[sha256]) > 1:
            conflicting.append(name)
        elif sha256 in used:
            repeated.append(name)
        else:
            used[sha256] = (name, subject)
    people, subjects = np.unique([subject for _, subject in used.values()], return_inverse=True)
    if len(people) < 2:
        raise DatasetError(f"{data.name}: {len(people)} people with a usable photograph, not two")
    return PeopleCrops(
        tuple(data.names[int(i)] for i in people),
        tuple(name for name, _ in used.values()),
        tuple(used),
        np.asarray([store.row(sha256) for sha256 in used], np.int64),
        subjects.astype(np.int64),
        tuple(unusable),
        tuple(repeated),
        tuple(conflicting),
        sum(store.faces(sha256) > 1 for sha256 in used),
        has_names(data),
    )
