"""One batch of photographs through both models: detect, align, crop, embed, assess quality."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from faceprint import _forks
from faceprint.errors import NotFiniteError
from faceprint.types import AnalyzedImage, Detections, Embedding, Face
from faceprint.vision.align import transforms_of
from faceprint.vision.batch_photo import FAILURES, Photo, open_batches
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.images import ImageSource
from faceprint.vision.load import Detector, LoadOptions, load_detector, load_embedder
from faceprint.vision.quality import QualityAssessor
from faceprint.zoo.card import Alignment, ModelCard

__all__ = ["BatchAnalyzer", "FaceOutputs"]


class FaceOutputs(NamedTuple):
    """What to compute for each face besides its box and landmarks."""

    embed: bool = True
    quality: bool = True
    keep_crops: bool = False


class BatchAnalyzer:
    """A detector and an embedder, each opened on first use. Thread-safe.

    A forked child opens its own sessions. A pickle holds the cards and options, no sessions.
    """

    def __init__(
        self, detector_card: ModelCard, embedder_card: ModelCard, options: LoadOptions
    ) -> None:
        self.detector_card, self.embedder_card = detector_card, embedder_card
        self.options = options
        mirrored = options.mirror and not embedder_card.input.mirrored
        self._assessor = QualityAssessor(embedder_card, mirrored=mirrored)
        self._reset()
        _forks.call_after_fork(self)

    def _reset(self) -> None:
        self._detector_lock, self._embedder_lock = threading.Lock(), threading.Lock()
        self._detector: Detector | None = None
        self._embedder: VectorEmbedder | None = None
        self._networks_lock = threading.Lock()

    def after_fork(self) -> None:
        """Called in a forked child: drop the sessions, whose threads stayed with the parent."""
        _forks.abandon(self._detector, self._embedder)
        self._reset()

    def __reduce__(self) -> tuple[object, ...]:
        return BatchAnalyzer, (self.detector_card, self.embedder_card, self.options)

    def with_threads(self, threads: int) -> BatchAnalyzer:
        """The same models with another number of threads per session, not yet opened."""
        options = self.options.with_threads(threads)
        return BatchAnalyzer(self.detector_card, self.embedder_card, options)

    @property
    def detector(self) -> Detector:
        """The detector, opened on first use."""
        with self._detector_lock:
            if self._detector is None:
                self._detector = load_detector(self.detector_card, self.options)
            return self._detector

    @property
    def embedder(self) -> VectorEmbedder:
        """The embedder, opened on first use."""
        with self._embedder_lock:
            if self._embedder is None:
                self._embedder = load_embedder(self.embedder_card, self.options)
            return self._embedder

    def open(self) -> None:
        """Open both models now, side by side."""
        with ThreadPoolExecutor(1, thread_name_prefix="faceprint-open") as pool:
            embedder = pool.submit(lambda: self.embedder)
            _ = self.detector
            embedder.result()

    def analyze(self, source: ImageSource, outputs: FaceOutputs) -> list[Face]:
        """The faces of one photograph, largest first.

        Raises:
            DecodeError, InputError: the photograph can't be used.
        """
        (result,) = self._analyze([Photo.open(source, self._required_scale)], outputs)
        if result.error is not None:
            raise result.error
        return result.faces

    def analyze_chunk(
        self, chunk: Sequence[ImageSource], outputs: FaceOutputs
    ) -> list[AnalyzedImage]:
        """One result per photograph, in order; a photograph that can't be used has an error.

        Raises:
            ModelError: a model can't be opened.
        """
        # Where threads can't share a session, one decodes while another runs the networks. An
        # accelerator takes the calls of several, so that it has the next while one cuts crops.
        shared = self.options.can_share_sessions or self.options.on_accelerator
        lock = nullcontext() if shared else self._networks_lock
        results: list[AnalyzedImage] = []
        for photos in open_batches(chunk, self._required_scale):
            with lock:
                results += self._analyze(photos, outputs)
        return results

    def _analyze(self, photos: Sequence[Photo], outputs: FaceOutputs) -> list[AnalyzedImage]:
        """One result per photograph; releases their pixels on the way."""
        readable = [photo for photo in photos if photo.mips]
        alignment = self.embedder_card.alignment
        if readable and alignment is not None:
            self._find_faces(readable, alignment, outputs)
        return [photo.result() for photo in photos]

    def _find_faces(
        self, photos: Sequence[Photo], alignment: Alignment, outputs: FaceOutputs
    ) -> None:
        """Set the faces of each photograph, or its error."""
        if outputs.embed and self._embedder is None:
            self.open()
        found = [_largest_first(detections) for detections in self._detect(photos)]
        for photo, detections in zip(photos, found, strict=True):
            photo.faces = _faces_of(detections)
        if not any(outputs):
            for photo in photos:
                photo.mips = None
            return
        transforms = transforms_of(found, alignment)
        crops = [
            photo.cut(matrices, alignment.size)
            for photo, matrices in zip(photos, transforms, strict=True)
        ]
        embeddings: Iterator[Embedding | None] = iter(())
        if outputs.embed:
            embeddings = iter(self.embedder.embed_each(np.concatenate(crops)))
        for photo, photo_crops in zip(photos, crops, strict=True):
            faces = []
            # A photograph that could not be decoded again has faces and no crops.
            for face, crop in zip(photo.faces, photo_crops, strict=False):
                embedding = next(embeddings) if outputs.embed else None
                quality = None
                if outputs.quality:
                    quality = self._assessor.assess(face, crop, embedding, photo.size)
                kept = crop if outputs.keep_crops else None
                faces.append(replace(face, quality=quality, embedding=embedding, crop=kept))
            if outputs.embed and any(face.embedding is None for face in faces):
                photo.fail(NotFiniteError(f"{self.embedder_card.id} gave NaN or infinity"))
            photo.faces = faces

    def _detect(self, photos: Sequence[Photo]) -> list[Detections]:
        try:
            return self.detector.detect([photo.mips for photo in photos if photo.mips])
        except FAILURES as error:
            if len(photos) == 1:
                photos[0].fail(error)
                return [Detections.empty()]
            # One by one, to find the photograph that fails.
            return [found for photo in photos for found in self._detect([photo])]

    def _required_scale(self, width: int, height: int) -> float:
        # A method, so that an unreadable photograph fails before the detector is opened.
        return self.detector.required_scale(width, height)


def _largest_first(detections: Detections) -> Detections:
    return detections[np.argsort(-detections.areas, kind="stable")]


def _faces_of(detections: Detections) -> list[Face]:
    points = detections.landmarks
    return [
        Face(box, float(score), None if points is None else points[index])
        for index, (box, score) in enumerate(zip(detections.boxes, detections.scores, strict=True))
    ]
