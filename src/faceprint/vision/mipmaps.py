"""An image with its halvings, and aligned crops read from them without aliasing."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Image, check_image

__all__ = [
    "MAX_SIDE",
    "Mipmaps",
    "Span",
    "average_pairs",
    "evened",
    "halve",
    "halved_span",
    "nearest_level",
]

MAX_SIDE = 32_000
"""Longest side of an image that is given to cv2.remap, which refuses 32,768 and more."""

_SMALL = 64_000
"""Pixels up to which odd sides are halved as they are. OpenCV takes fifteen times as long for any
ratio but two, which hardly matters for a small image, and a repeated edge would change it more."""

Span = tuple[float, float]
"""Width and height, in the image's pixels, of what one of its halvings shows: a little more than
the image where an odd side was made even before it was halved."""


class Mipmaps:
    """An image and its halvings, each made when it is first needed.

    Shrinking by more than two with bilinear interpolation skips pixels. Reading from the halving
    nearest to the crop's own scale does not (Williams, "Pyramidal parametrics", 1983).

    Attributes:
        width, height: of the image itself, in pixels.
        halvings: how often the finest level in memory has been halved.
    """

    def __init__(
        self,
        image: Image,
        *,
        halvings: int = 0,
        size: tuple[int, int] | None = None,
        load: Callable[[], Image] | None = None,
    ) -> None:
        """Make mipmaps of an image, or of one of its halvings and a function that loads the image.

        Args:
            image: (h, w, 3) RGB uint8.
            halvings: how often `image` has been halved already.
            size: (width, height) of the image itself; all coordinates are in its pixels.
            load: returns the image, or a halving, when a crop needs it; it may raise DecodeError.
        """
        self._load = load
        self.width: int = size[0] if size else image.shape[1]
        self.height: int = size[1] if size else image.shape[0]
        self._start(image, halvings)

    def _start(self, image: Image, halvings: int) -> None:
        self.halvings = halvings
        # A decoder that reduces repeats the edges of odd sides: every pixel covers as many.
        self._levels = [image]
        self._spans: list[Span] = [(image.shape[1] * 2.0**halvings, image.shape[0] * 2.0**halvings)]

    @classmethod
    def of(cls, image: Image | Mipmaps) -> Mipmaps:
        """The mipmaps of an image; mipmaps are returned as they are.

        Raises:
            InvalidImageArrayError: not RGB uint8 of shape (h, w, 3).
        """
        return image if isinstance(image, Mipmaps) else cls(check_image(image))

    @property
    def pixels(self) -> int:
        """Number of pixels of the finest level in memory."""
        return self._levels[0].size // 3

    def level(self, index: int) -> Image:
        """The image at 1 / 2**index of its size, or the smallest one there is.

        Raises:
            DecodeError: the photograph had to be decoded again, and can't be.
        """
        return self.view(index)[0]

    def view(self, index: int) -> tuple[Image, Span]:
        """`level` and its span; raises what `level` raises."""
        if index < self.halvings and self._load is not None:
            image, self._load = self._load(), None
            self._start(image, round(np.log2(self.width / image.shape[1])))
        index = max(0, index - self.halvings)
        while len(self._levels) <= index and min(self._levels[-1].shape[:2]) >= 2:
            finest = self._levels[-1]
            self._levels.append(halve(finest))
            self._spans.append(halved_span(self._spans[-1], finest.shape[1], finest.shape[0]))
        index = min(index, len(self._levels) - 1)
        return self._levels[index], self._spans[index]

    def resized(self, width: int, height: int) -> Image:
        """The whole image at another size, read from the halving that `source_of` gives."""
        source = self.source_of(width, height)[0]
        if source.shape[:2] == (height, width):
            return source
        # By less than two: averaging by area costs four times as much and finds the same faces.
        return np.asarray(cv2.resize(source, (width, height)), np.uint8)

    def source_of(self, width: int, height: int) -> tuple[Image, Span]:
        """The smallest halving that is not smaller than that size, and its span."""
        ratio = min(self.width / width, self.height / height)
        return self.view(int(np.log2(max(ratio, 1.0))))

    def crops(self, transforms: Array, size: int) -> Image:
        """Cut n square crops; what lies outside the image is black.

        Args:
            transforms: (n, 2, 3) similarity transforms from image pixels to crop pixels (pixel
                centers are whole numbers in both).
            size: side of the crops in pixels.

        Returns:
            (n, size, size, 3) uint8 RGB.

        Raises:
            DecodeError: see `level`.
        """
        inverse = _invert(np.asarray(transforms, np.float64))
        # Image pixels per crop pixel.
        spread = np.sqrt(np.abs(np.linalg.det(inverse[:, :, :2])))
        out = np.empty((len(inverse), size, size, 3), np.uint8)
        levels = nearest_level(spread)
        per_call = max(1, MAX_SIDE // size)
        for level in np.unique(levels):
            source, span = self.view(int(level))
            scale = np.asarray((source.shape[1] / span[0], source.shape[0] / span[1]), np.float64)
            chosen = np.flatnonzero(levels == level)
            for start in range(0, len(chosen), per_call):
                part = chosen[start : start + per_call]
                # In 32nds of a pixel: a fifth faster, and equal in all versions of OpenCV.
                maps = cv2.convertMaps(*_sample_points(inverse[part], scale, size), cv2.CV_16SC2)
                cut = cv2.remap(source, *maps, cv2.INTER_LINEAR)
                out[part] = cut.reshape(len(part), size, size, 3)
        return out


def nearest_level(spread: NDArray[np.float64]) -> NDArray[np.int_]:
    """The halving whose pixels come nearest in size to `spread` image pixels per crop pixel."""
    return np.maximum(np.round(np.log2(np.maximum(spread, 1e-6))), 0).astype(int)


def halve(image: Image) -> Image:
    """Half the width and height, rounded up; odd sides of a large image are made even first."""
    height, width = image.shape[:2]
    right, bottom = evened(width, height)
    if (right, bottom) != (width, height):
        image = cv2.copyMakeBorder(
            image, 0, bottom - height, 0, right - width, cv2.BORDER_REPLICATE
        )
    return average_pairs(image)


def average_pairs(image: Image) -> Image:
    """Half the width and height, rounded up; every pixel is the mean of those it covers."""
    size = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def evened(width: int, height: int) -> tuple[int, int]:
    """The size of an image of that size when it is halved: large ones are made even."""
    if width * height <= _SMALL:
        return width, height
    return width + width % 2, height + height % 2


def halved_span(span: Span, width: int, height: int) -> Span:
    """The span of the halving of a (width, height) level that has `span` itself."""
    right, bottom = evened(width, height)
    return span[0] * right / width, span[1] * bottom / height


def _invert(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.linalg.inv(transforms[:, :, :2])
    shift = -np.einsum("nij,nj->ni", linear, transforms[:, :, 2])
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def _sample_points(
    inverse: NDArray[np.float64], scale: NDArray[np.float64], size: int
) -> tuple[Array, Array]:
    """Where every pixel of the crops lies in a level: x and y, (n * size, size) each.

    Args:
        inverse: (n, 2, 3) transforms from crop pixels to image pixels.
        scale: (2,) pixels of the level per image pixel.
    """
    steps = np.arange(size, dtype=np.float64)
    scaled = inverse * scale[None, :, None]
    # A pixel center x lies at (x + 0.5) * scale - 0.5 in a scaled image.
    scaled[:, :, 2] += 0.5 * scale - 0.5
    axes = []
    for axis in (0, 1):
        # float32 from here on: remap counts in 1/32 of a pixel.
        row = (scaled[:, axis, 0, None] * steps).astype(np.float32)
        column = scaled[:, axis, 1, None] * steps + scaled[:, axis, 2, None]
        points = column.astype(np.float32)[:, :, None] + row[:, None, :]
        axes.append(points.reshape(-1, size))
    return axes[0], axes[1]
