"""Fills a crop store from labeled photographs, and lists who has which crops."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import DatasetError, DecodeError, FaceprintError, UsageError
from faceprint.evaluation.datasets import LabeledSet, Picture
from faceprint.training.crop_store import SIZE, CropStore, StoredPhoto
from faceprint.training.people_data import has_names, picture_hashes, picture_names
from faceprint.types import AnalyzedImage, Face, Image
from faceprint.vision import EMBEDDING_VERSION, images
from faceprint.vision.align import align
from faceprint.vision.embed import VectorEmbedder
from faceprint.zoo.card import Alignment
from faceprint.zoo.card_io import TEMPLATES, card_hash
from faceprint.zoo.locks import exclusive

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["ALIGNMENT", "PeopleCrops", "Progress", "build_store", "face_key", "people_of"]

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
    *,
    embedder: VectorEmbedder | None = None,
    every_face: bool = False,
) -> tuple[CropStore, list[bytes]]:
    """Find and align the faces of all photographs that the store lacks.

    Args:
        data: see `open_people`.
        folder: of the store.
        analyzer: finds the faces, and embeds them. None: the pictures are crops that are aligned
            already, of 112x112 pixels.
        progress: called with how many photographs are done, of how many are new.
        embedder: embeds crops that are aligned already; None leaves them without.
        every_face: keep all faces of a photograph, the further ones under their `face_key`.

    Returns:
        The store, and the SHA-256 of each picture; empty where it can't be read.

    Raises:
        DatasetError: a file is gone, or the store can't be used.
        ModelError: the models can't be loaded.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / ".lock", what=f"the crop store {folder}"):
            return _fill(data, folder, analyzer or embedder, progress, every_face)
    except OSError as error:
        raise DatasetError(f"{folder}: {error.strerror or error}") from error


def face_key(sha256: bytes, number: int) -> bytes:
    """The name in a store of a photograph's face, counted from the largest: 0."""
    return hashlib.sha256(sha256 + number.to_bytes(4, "little")).digest() if number else sha256


def _fill(
    data: LabeledSet,
    folder: Path,
    analyzer: FaceAnalyzer | VectorEmbedder | None,
    progress: Progress | None,
    every_face: bool,
) -> tuple[CropStore, list[bytes]]:
    store = _open(folder, analyzer, every_face)
    hashes = picture_hashes(data, folder)
    todo = {h: i for i, h in enumerate(hashes) if h and h not in store}
    done = 0
    work = iter(todo.items())
    while places := list(itertools.islice(work, _BATCH)):
        batch = [(sha256, _source(data.pictures[i])) for sha256, i in places]
        if analyzer is None or isinstance(analyzer, VectorEmbedder):
            store.add(_aligned(batch, analyzer))
        else:
            store.add(_analyzed(batch, analyzer, every_face))
        done += len(batch)
        if progress:
            progress(done, len(todo))
    return store, hashes


def _open(
    folder: Path, analyzer: FaceAnalyzer | VectorEmbedder | None, every_face: bool
) -> CropStore:
    if analyzer is None:
        return CropStore(folder, {"detector": "aligned", "embedder": ""}, 0)
    if isinstance(analyzer, VectorEmbedder):
        embedder, detector, mirror = analyzer.card, "aligned", analyzer.mirror
        if embedder.alignment != ALIGNMENT:
            raise UsageError(f"{embedder.id} does not take crops aligned as arcface-112")
    else:
        embedder, found = analyzer.embedder_card, analyzer.detector_card
        detector, mirror = f"{found.id} {card_hash(found)}", analyzer.mirror
    facts: dict[str, Any] = {
        "detector": detector,
        "embedder": f"{embedder.id} {card_hash(embedder)}",
        "version": EMBEDDING_VERSION,
    }
    # Older stores don't have these, and are as if both were false.
    facts |= {"mirror": True} if mirror else {}
    facts |= {"every_face": True} if every_face else {}
    return CropStore(folder, facts, embedder.dim or 0)


def _source(picture: Picture) -> Source:
    return picture.source if isinstance(picture.source, Path) else picture.read()


def _reason(error: FaceprintError, source: Source) -> str:
    """Without a name: the photograph may come again under another."""
    name = source if isinstance(source, Path) else "<bytes>"
    return str(error).removeprefix(f"{name}: ")


def _aligned(
    batch: Sequence[tuple[bytes, Source]], embedder: VectorEmbedder | None
) -> Iterator[StoredPhoto]:
    for sha256, source in batch:
        try:
            crop = images.decode(source)
        except DecodeError as error:
            yield StoredPhoto(sha256, 0, _reason(error, source))
            continue
        height, width = crop.shape[:2]
        if (width, height) != (SIZE, SIZE):
            yield StoredPhoto(sha256, 0, f"{width}x{height} pixels, not {SIZE}x{SIZE}")
        else:
            vector = None if embedder is None else embedder.embed([crop])[0].vector
            yield StoredPhoto(sha256, 1, crop=crop, vector=vector)


def _analyzed(
    batch: Sequence[tuple[bytes, Source]], analyzer: FaceAnalyzer, every_face: bool
) -> Iterator[StoredPhoto]:
    same = analyzer.embedder_card.alignment == ALIGNMENT
    results = analyzer.analyze_many([source for _, source in batch], keep_crops=same, quality=False)
    for (sha256, source), item in zip(batch, results, strict=True):
        yield from _stored(sha256, source, item, every_face)


def _stored(
    sha256: bytes, source: Source, item: AnalyzedImage, every_face: bool
) -> Iterator[StoredPhoto]:
    if item.error is not None:
        if not isinstance(item.error, FaceprintError):
            raise item.error
        yield StoredPhoto(sha256, 0, _reason(item.error, source))
    elif not item.faces:
        yield StoredPhoto(sha256, 0, "no face")
    else:
        # The photograph's own line is the last, so that an interruption leaves no photograph that
        # seems complete and lacks faces.
        for number in reversed(range(len(item.faces) if every_face else 1)):
            face = item.faces[number]
            vector = None if face.embedding is None else face.embedding.vector
            count = 1 if number else len(item.faces)
            key = face_key(sha256, number)
            yield StoredPhoto(key, count, "", _crop(source, face), vector)


def _crop(source: Source, face: Face) -> Image:
    if face.crop is not None:
        return face.crop
    points = None if face.landmarks is None else face.landmarks[None]
    crops = align(images.decode(source), points, face.box[None], ALIGNMENT)
    return np.asarray(crops[0], np.uint8)


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
        raise DatasetError(
            f"{data.name}: at least two people need a usable photograph; "
            f"{len(people) or 'none'} has one"
        )
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
