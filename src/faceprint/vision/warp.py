"""Cutting many crops out of one image in a few calls, without aliasing."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Image, check_image

__all__ = ["Mipmaps", "halved"]

# cv2.remap refuses a side of 32,768 or more.
_MAX_SIDE = 32_000


class Mipmaps:
    """An image and its halvings, each made when it is first asked for.

    Shrinking by more than two with bilinear interpolation skips pixels; reading from the halving
    nearest to the crop's own scale does not (Williams, "Pyramidal parametrics", 1983).

    Attributes:
        width, height: of the image itself, pixels.
        halvings: how often the finest level that is here has been halved.
    """

    def __init__(
        self,
        image: Image,
        *,
        halvings: int = 0,
        size: tuple[int, int] | None = None,
        load: Callable[[], Image] | None = None,
    ) -> None:
        """From the image, or from one of its halvings and what gives the image itself.

        Args:
            image: (h, w, 3) RGB uint8.
            halvings: how often `image` has been halved already.
            size: (width, height) of the image itself, in whose pixels all coordinates are.
            load: gives it when a crop is worth it; it may raise DecodeError.
        """
        self._levels = [image]
        self.halvings, self._load = halvings, load
        self.width: int = size[0] if size else image.shape[1]
        self.height: int = size[1] if size else image.shape[0]

    @classmethod
    def of(cls, image: Image | Mipmaps) -> Mipmaps:
        """The same, or those of an image.

        Raises:
            InvalidImageArrayError: not RGB uint8 of shape (h, w, 3).
        """
        return image if isinstance(image, Mipmaps) else cls(check_image(image))

    @property
    def pixels(self) -> int:
        """How many are in memory at the least."""
        return self._levels[0].size // 3

    def level(self, index: int) -> Image:
        """The image at 1 / 2**index of its size, or the smallest one there is.

        Raises:
            DecodeError: the photograph had to be decoded anew, and can't be.
        """
        if index < self.halvings and self._load is not None:
            finer = [self._load()]
            while len(finer) < self.halvings:
                finer.append(halved(finer[-1]))
            self._levels, self.halvings, self._load = [*finer, *self._levels], 0, None
        index -= self.halvings
        while len(self._levels) <= index and min(self._levels[-1].shape[:2]) >= 2:
            self._levels.append(halved(self._levels[-1]))
        return self._levels[min(index, len(self._levels) - 1)]

    def resized(self, width: int, height: int) -> Image:
        """The whole image at another size, from the smallest halving that is not smaller."""
        ratio = min(self.width / width, self.height / height)
        source = self.level(max(0, int(np.log2(max(ratio, 1.0)))))
        if source.shape[:2] == (height, width):
            return source
        # By less than two: averaging by area costs four times as much and finds the same faces.
        return np.asarray(cv2.resize(source, (width, height)), np.uint8)

    def crops(self, transforms: Array, size: int) -> Image:
        """Cut n square crops; what lies outside the image is black.

        Args:
            transforms: (n, 2, 3) similarity transforms from image pixels to crop pixels (pixel
                centres are whole numbers in both).
            size: side of the crops in pixels.

        Returns:
            (n, size, size, 3) uint8 RGB.
        """
        inverse = _invert(np.asarray(transforms, np.float64))
        # Image pixels per crop pixel, by area: 2**level of them are averaged beforehand.
        spread = np.sqrt(np.abs(np.linalg.det(inverse[:, :, :2])))

        def grid(chosen: NDArray[np.intp], scale: NDArray[np.float64]) -> tuple[Array, Array]:
            return _grid(inverse[chosen], scale, size)

        return self._cut(spread, size, grid, cv2.BORDER_CONSTANT)

    def box_crops(self, boxes: Array, size: int) -> Image:
        """Cut (n, 4) xyxy boxes and stretch each to a square of `size` pixels.

        Where a box leaves the image, the image's edge is repeated. Nothing is decoded anew for it.

        Returns:
            (n, size, size, 3) uint8 RGB.
        """
        corners = np.asarray(boxes, np.float64)
        steps = np.maximum(corners[:, 2:] - corners[:, :2], 1e-3) / size

        def grid(chosen: NDArray[np.intp], scale: NDArray[np.float64]) -> tuple[Array, Array]:
            # Box edges lie between pixels, remap's coordinates count pixel centres.
            places = np.arange(size) + 0.5
            points = corners[chosen, :2, None] + steps[chosen, :, None] * places
            points = np.asarray(points * scale[:, None] - 0.5, np.float32)
            shape = (len(chosen), size, size)
            x, y = points[:, 0, None, :], points[:, 1, :, None]
            return _rows(np.broadcast_to(x, shape)), _rows(np.broadcast_to(y, shape))

        spread = np.maximum(np.sqrt(steps.prod(axis=1)), 2.0**self.halvings)
        return self._cut(spread, size, grid, cv2.BORDER_REPLICATE)

    def _cut(self, spread: NDArray[np.float64], size: int, grid: _Grid, border: int) -> Image:
        """Read crops of `spread` image pixels a crop pixel from the halvings nearest to that."""
        out = np.empty((len(spread), size, size, 3), np.uint8)
        levels = np.maximum(np.round(np.log2(np.maximum(spread, 1e-6))), 0).astype(int)
        per_call = max(1, _MAX_SIDE // size)
        for level in np.unique(levels):
            source = self.level(int(level))
            scale = np.asarray(
                (source.shape[1] / self.width, source.shape[0] / self.height), np.float64
            )
            chosen = np.flatnonzero(levels == level)
            for start in range(0, len(chosen), per_call):
                part = chosen[start : start + per_call]
                # In 32nds of a pixel: a fifth faster, and the same in every version of OpenCV.
                maps = cv2.convertMaps(*grid(part, scale), cv2.CV_16SC2)
                cut = cv2.remap(source, *maps, cv2.INTER_LINEAR, borderMode=border)
                out[part] = cut.reshape(len(part), size, size, 3)
        return out


_Grid = Callable[[NDArray[np.intp], NDArray[np.float64]], tuple[Array, Array]]
"""Chosen crops and a level's scale to source coordinates of every pixel, crops below one another:
two (n * size, size)."""


def _rows(grids: Array) -> Array:
    """(n, size, size) to contiguous (n * size, size)."""
    return np.ascontiguousarray(grids, np.float32).reshape(-1, grids.shape[2])


def halved(image: Image) -> Image:
    """Half as wide and high, rounded up; every pixel is the mean of what it covers."""
    size = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _invert(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.linalg.inv(transforms[:, :, :2])
    shift = -np.einsum("nij,nj->ni", linear, transforms[:, :, 2])
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def _grid(
    inverse: NDArray[np.float64], scale: NDArray[np.float64], size: int
) -> tuple[Array, Array]:
    """See `_Grid`."""
    steps = np.arange(size, dtype=np.float64)
    scaled = inverse * scale[None, :, None]
    # A pixel centre x sits at (x + 0.5) * scale - 0.5 in a scaled image.
    scaled[:, :, 2] += 0.5 * scale - 0.5
    axes = []
    for axis in (0, 1):
        # float32 from here: remap counts in 1/32 of a pixel.
        row = (scaled[:, axis, 0, None] * steps).astype(np.float32)
        column = scaled[:, axis, 1, None] * steps + scaled[:, axis, 2, None]
        points = column.astype(np.float32)[:, :, None] + row[:, None, :]
        axes.append(points.reshape(-1, size))
    return axes[0], axes[1]
