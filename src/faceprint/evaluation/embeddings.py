"""Embeds the pictures of a data set; what is done is cached, so that a run can be resumed.

Two caches under FACEPRINT_HOME hold the face chosen in each picture (by detector) and its embedding
(by detector, embedder and options). Another embedder does not detect the faces again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from faceprint import settings
from faceprint.errors import CardError, DatasetError, DecodeError, NotFiniteError, UsageError
from faceprint.evaluation.datasets import FileSpan, Picture
from faceprint.evaluation.embedding_cache import FileHashes, RowCache, cache_key
from faceprint.types import AnalyzedImage, Array, Embedding, Face, Image
from faceprint.vision import EMBEDDING_VERSION, images
from faceprint.vision.align import align
from faceprint.zoo.card import Alignment
from faceprint.zoo.card_io import card_hash

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "MIDDLE",
    "EmbedOptions",
    "EmbeddedPictures",
    "Progress",
    "WhichFace",
    "central_face",
    "embed_pictures",
]

_LOG = logging.getLogger("faceprint.evaluation")

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, of how many."""

WhichFace = Literal["largest", "central"]
_RULES: tuple[WhichFace, ...] = ("largest", "central")

_BOX, _POINTS = 4, 10
_FACE = 2 + _BOX + _POINTS
_NO_FACE, _WITH_POINTS, _BOX_ALONE = 0.0, 1.0, 2.0

MIDDLE = 0.36
"""Without a detected face, the box around the center has this share of the shorter side. On LFW
its crops have the scale of the median face."""


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How the pictures of a data set become embeddings.

    Attributes:
        aligned: pictures are crops aligned to the embedder's template; faces are not detected.
        face: which of several faces: the largest, as in `verify`, `enroll` and `calibrate`, or the
            central one, as in published figures on LFW (see `central_face`).
        batch_size: pictures per batch.
    """

    aligned: bool = False
    face: WhichFace = "largest"
    batch_size: int = 64


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPictures:
    """Embeddings of a data set's pictures.

    Attributes:
        vectors: (n, d) float32 of unit length; zero for pictures that can't be decoded.
        found: (n,) bool, whether a face was found; otherwise the center of the picture was
            embedded instead.
        usable: (n,) bool, whether there is an embedding.
        hashes: sha256 of each picture's bytes; empty if they can't be read.
        computed: number of pictures that were not in the cache.
    """

    vectors: Array
    found: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    hashes: tuple[bytes, ...]
    computed: int

    @property
    def failed(self) -> int:
        """Number of pictures without a detected face, including those that can't be decoded."""
        return int((~self.found).sum())


def embed_pictures(
    pictures: Sequence[Picture],
    analyzer: FaceAnalyzer,
    options: EmbedOptions | None = None,
    *,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> EmbeddedPictures:
    """Embed every picture that is not in the cache.

    Args:
        progress: called after each batch.
        folder: of the cache; default FACEPRINT_HOME/embeddings.

    Raises:
        DatasetError: a picture's file is missing, a crop does not have the embedder's size, or the
            cache can't be used.
        ModelError: the models cannot be loaded.
    """
    chosen = options or EmbedOptions()
    if chosen.batch_size < 1:
        raise UsageError(f"batch_size is {chosen.batch_size}, not a positive whole number")
    if chosen.face not in _RULES:
        raise UsageError(f"face is {chosen.face!r}; it is 'largest' or 'central'")
    work = _Work(analyzer, chosen, folder or settings.home() / "embeddings")
    try:
        return work.run(pictures, progress or (lambda done, total: None))
    finally:
        work.close()


class _Work:
    def __init__(self, analyzer: FaceAnalyzer, options: EmbedOptions, folder: Path) -> None:
        detector, embedder = analyzer.detector_card, analyzer.embedder_card
        if embedder.alignment is None or embedder.dim is None:
            raise CardError(f"{embedder.id}: an embedder's card needs an alignment template")
        self._analyzer, self._options, self._folder = analyzer, options, folder
        self._alignment: Alignment = embedder.alignment
        self.dim = embedder.dim
        engine = {"version": EMBEDDING_VERSION, "runtime": analyzer.runtime}
        found = {**engine, "detector": card_hash(detector)}
        face = {**found, "face": options.face}
        # One detection serves both rules.
        self._faces = {
            rule: RowCache(folder / "faces.sqlite", cache_key({**found, "face": rule}), _FACE)
            for rule in _RULES
        }
        vector = {
            **(engine if options.aligned else face),
            "embedder": card_hash(embedder),
            "mirror": analyzer.mirror,
            "aligned": options.aligned,
        }
        self._vectors = RowCache(folder / "vectors.sqlite", cache_key(vector), self.dim + 1)

    def close(self) -> None:
        for cache in self._faces.values():
            cache.close()
        self._vectors.close()

    def run(self, pictures: Sequence[Picture], progress: Progress) -> EmbeddedPictures:
        hashes = self._hashes(pictures)
        known = self._vectors.get(hashes) | {b"": np.zeros(0, np.float32)}
        missing = {h: i for i, h in enumerate(hashes) if h not in known}
        todo = [pictures[i] for i in missing.values()]
        names = list(missing)
        for start in range(0, len(todo), self._options.batch_size):
            part = slice(start, start + self._options.batch_size)
            rows = dict(zip(names[part], self._embed(todo[part], names[part]), strict=True))
            self._vectors.put(rows)
            known |= rows
            progress(min(start + self._options.batch_size, len(todo)), len(todo))
        vectors = np.zeros((len(hashes), self.dim), np.float32)
        found, usable = np.zeros((2, len(hashes)), np.bool_)
        for i, h in enumerate(hashes):
            if len(known[h]):
                vectors[i], found[i], usable[i] = known[h][1:], known[h][0] != _NO_FACE, True
        return EmbeddedPictures(vectors, found, usable, tuple(hashes), len(todo))

    def _hashes(self, pictures: Sequence[Picture]) -> list[bytes]:
        paths = [p.source for p in pictures if isinstance(p.source, Path)]
        with closing(FileHashes(self._folder / "hashes.sqlite")) as files:
            of_file = iter(files.of(paths))
        return [
            next(of_file)
            if isinstance(picture.source, Path)
            else hashlib.sha256(picture.read()).digest()
            for picture in pictures
        ]

    def _embed(self, pictures: Sequence[Picture], hashes: Sequence[bytes]) -> Iterator[Array]:
        """A row per picture: how its face was found, and its embedding; empty if undecodable."""
        if self._options.aligned:
            marks = [_WITH_POINTS] * len(pictures)
            crops = [self._aligned(picture) for picture in pictures]
        else:
            faces = self._chosen_faces(pictures, hashes)
            marks = [float(face[0]) if len(face) else _NO_FACE for face in faces]
            crops = [self._crop(*both) for both in zip(pictures, faces, strict=True)]
        good = [crop for crop in crops if crop is not None]
        embedded = iter(self._embed_crops(good))
        for picture, crop, mark in zip(pictures, crops, marks, strict=True):
            face = None if crop is None else next(embedded)
            if face is not None:
                yield np.concatenate([[mark], face.vector]).astype(np.float32)
                continue
            if crop is not None:
                model = self._analyzer.embedder_card.id
                _LOG.warning("%s gave NaN or infinity for %s: not used", model, picture.name)
            yield np.zeros(0, np.float32)

    def _embed_crops(self, crops: Sequence[Image]) -> list[Embedding | None]:
        """Each crop's embedding, None where the network gave NaN or infinity."""
        if not crops:
            return []
        try:
            return list(self._analyzer.embed_crops(np.stack(crops)))
        except NotFiniteError:
            if len(crops) == 1:
                return [None]
            return [embedding for crop in crops for embedding in self._embed_crops([crop])]

    def _aligned(self, picture: Picture) -> Image | None:
        try:
            crop = images.decode(_source(picture))
        except DecodeError:
            return None
        size = self._alignment.size
        if crop.shape[:2] != (size, size):
            height, width = crop.shape[:2]
            raise DatasetError(
                f"{picture.name}: a crop of {width} x {height} pixels; "
                f"{self._analyzer.embedder_card.id} takes crops of {size} x {size}, aligned to "
                f"{self._alignment.template}"
            )
        return crop

    def _crop(self, picture: Picture, face: Array) -> Image | None:
        if not len(face):
            return None
        image = images.decode(_source(picture))
        points = face[6:].reshape(1, 5, 2) if face[0] == _WITH_POINTS else None
        crop: Image = align(image, points, face[None, 2:6], self._alignment)[0]
        return crop

    def _chosen_faces(self, pictures: Sequence[Picture], hashes: Sequence[bytes]) -> list[Array]:
        known = self._faces[self._options.face].get(hashes)
        todo = [i for i, h in enumerate(hashes) if h not in known]
        if todo:
            sources = [_source(pictures[i]) for i in todo]
            analyzed = self._analyzer.analyze_many(
                sources, batch_size=self._options.batch_size, embed=False
            )
            fresh: dict[WhichFace, dict[bytes, Array]] = {rule: {} for rule in _RULES}
            for i, each in zip(todo, analyzed, strict=True):
                for rule in _RULES:
                    fresh[rule][hashes[i]] = _face_row(each, rule)
            for rule in _RULES:
                self._faces[rule].put(fresh[rule])
            known |= fresh[self._options.face]
        return [known[h] for h in hashes]


def _source(picture: Picture) -> Path | bytes:
    source = picture.source
    return source.read() if isinstance(source, FileSpan) else source


def _face_row(analyzed: AnalyzedImage, rule: WhichFace) -> Array:
    """[how it was found, number of faces, box, landmarks]; empty if undecodable."""
    if analyzed.error is not None:
        return np.zeros(0, np.float32)
    row = np.zeros(_FACE, np.float32)
    row[1] = len(analyzed.faces)
    middle = np.asarray([analyzed.width, analyzed.height], np.float64) / 2
    if not analyzed.faces:
        half = min(analyzed.width, analyzed.height) * MIDDLE / 2
        row[0], row[2:6] = _NO_FACE, np.concatenate([middle - half, middle + half])
        return row
    face = analyzed.faces[0] if rule == "largest" else central_face(analyzed.faces, middle)
    assert face is not None
    row[2:6] = face.box
    row[0] = _BOX_ALONE
    if face.landmarks is not None:
        row[0], row[6:] = _WITH_POINTS, face.landmarks.ravel()
    return row


def central_face(faces: Sequence[Face], point: NDArray[np.floating]) -> Face | None:
    """The face whose area less twice its squared distance from an (x, y) point is largest.

    With the middle of the photograph as the point, this is InsightFace's rule for LFW.
    """

    def merit(face: Face) -> float:
        offset = (face.box[:2] + face.box[2:]) / 2 - point
        return face.area - 2.0 * float(offset @ offset)

    return max(faces, key=merit, default=None)
