"""Photographs on their way through the engine: opened in batches, let go as soon as may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from faceprint.errors import FaceprintError, InputError, InvalidImageArrayError, NotFiniteError
from faceprint.types import AnalyzedImage, Array, Detections, Face, Image
from faceprint.vision import images
from faceprint.vision.images import ImageSource
from faceprint.vision.warp import Mipmaps

__all__ = ["FAILURES", "Photo", "FaceOutputs", "batches", "faces_of", "largest_first"]

FAILURES = (InputError, NotFiniteError, MemoryError, cv2.error)
"""What a photograph may do to the work on it; the others of a stream go on."""

_BATCH_PIXELS = 16_000_000
"""Pixels that one batch may hold: bounds memory when photographs are large."""

RequiredScale = Callable[[int, int], float]
"""Width and height to the share of them that the search for faces needs."""


class FaceOutputs(NamedTuple):
    """What is asked of each face beside its place.

    Attributes:
        embed: its embedding.
        quality: its quality, for which it is aligned as for an embedding.
        keep_crops: the aligned crop.
    """

    embed: bool = True
    quality: bool = True
    keep_crops: bool = False


@dataclass(slots=True, eq=False)
class Photo:
    """A photograph, and what has become of it.

    Attributes:
        mips: its pixels, until its crops are cut.
        size: (width, height), upright.
    """

    source: str
    mips: Mipmaps | None = None
    size: tuple[int, int] = (0, 0)
    faces: list[Face] = field(default_factory=list)
    error: FaceprintError | None = None

    @classmethod
    def open(cls, source: ImageSource, required_scale: RequiredScale) -> Photo:
        """Decode as much of it as the search for faces needs.

        Raises:
            DecodeError, InvalidImageArrayError: see `images.decode`.
        """
        mips = images.decode_scaled(source, required_scale)
        return cls(images.describe(source), mips, (mips.width, mips.height))

    def fail(self, error: Exception) -> None:
        """It can't be used after all."""
        if not isinstance(error, FaceprintError):
            reason = "not enough memory" if isinstance(error, MemoryError) else str(error).strip()
            error = InputError(f"{self.source}: can't be analyzed: {reason}")
        self.error, self.mips = error, None

    def cut(self, transforms: Array, size: int) -> Image:
        """The aligned crops of its faces, and the pixels are let go.

        What had to be decoded anew goes with them, before it is the next photograph's turn. No
        crops where that failed.
        """
        mips, self.mips = self.mips, None
        if mips is not None and len(transforms):
            try:
                return mips.crops(transforms, size)
            except FAILURES as error:
                self.fail(error)
        return np.empty((0, size, size, 3), np.uint8)

    def outcome(self) -> AnalyzedImage:
        """What came of it."""
        if self.error is not None:
            return AnalyzedImage(self.source, [], error=self.error)
        return AnalyzedImage(self.source, self.faces, *self.size)


def batches(chunk: Sequence[ImageSource], required_scale: RequiredScale) -> Iterator[list[Photo]]:
    """Open a chunk of a stream; more than one batch where the photographs are large."""
    batch: list[Photo] = []
    pixels = 0
    for source in chunk:
        try:
            photo = Photo.open(source, required_scale)
        except (InputError, InvalidImageArrayError) as error:
            photo = Photo(images.describe(source), error=error)
        size = photo.mips.pixels if photo.mips else 0
        if batch and pixels + size > _BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
        batch.append(photo)
        pixels += size
    yield batch


def largest_first(detections: Detections) -> Detections:
    """The same, sorted by area."""
    return detections[np.argsort(-detections.areas, kind="stable")]


def faces_of(detections: Detections) -> list[Face]:
    """Where they are, and nothing else."""
    points = detections.landmarks
    return [
        Face(box, float(score), None if points is None else points[index])
        for index, (box, score) in enumerate(zip(detections.boxes, detections.scores, strict=True))
    ]
