"""Photographs in a batch: opened together, their pixels released as soon as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from faceprint.errors import FaceprintError, InputError, InvalidImageArrayError, NotFiniteError
from faceprint.types import AnalyzedImage, Array, Face, Image
from faceprint.vision import images
from faceprint.vision.images import ImageSource
from faceprint.vision.mipmaps import Mipmaps

__all__ = ["FAILURES", "Photo", "open_batches"]

FAILURES = (InputError, NotFiniteError, MemoryError, cv2.error)
"""Errors that one photograph can cause; the rest of its batch goes on."""

_BATCH_PIXELS = 16_000_000
"""Most pixels in one batch: bounds memory when photographs are large."""

RequiredScale = Callable[[int, int], float]
"""Width and height of a photograph to the share of its sides that detection needs."""


@dataclass(slots=True, eq=False)
class Photo:
    """A photograph, and what was found in it so far.

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
        """Decode the photograph at the scale that detection needs.

        Raises:
            DecodeError, InvalidImageArrayError: see `images.decode`.
        """
        mips = images.decode_scaled(source, required_scale)
        return cls(images.describe(source), mips, (mips.width, mips.height))

    def fail(self, error: Exception) -> None:
        """Record why the photograph can't be used."""
        if not isinstance(error, FaceprintError):
            reason = "not enough memory" if isinstance(error, MemoryError) else str(error).strip()
            error = InputError(f"{self.source}: can't be analyzed: {reason}")
        self.error, self.mips = error, None

    def cut(self, transforms: Array, size: int) -> Image:
        """Cut the aligned crops and release the pixels; no crops if the photograph fails here."""
        mips, self.mips = self.mips, None
        if mips is not None and len(transforms):
            try:
                return mips.crops(transforms, size)
            except FAILURES as error:
                self.fail(error)
        return np.empty((0, size, size, 3), np.uint8)

    def result(self) -> AnalyzedImage:
        """The photograph's faces, or its error."""
        if self.error is not None:
            return AnalyzedImage(self.source, [], error=self.error)
        return AnalyzedImage(self.source, self.faces, *self.size)


def open_batches(
    chunk: Sequence[ImageSource], required_scale: RequiredScale
) -> Iterator[list[Photo]]:
    """Open a chunk of a stream; large photographs are split into several batches."""
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
