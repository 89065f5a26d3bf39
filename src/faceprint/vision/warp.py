"""Cutting many crops out of one image in a few calls, without aliasing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Image

__all__ = ["Mipmaps", "box_transforms"]

# cv2.remap refuses a side of 32,768 or more.
_MAX_SIDE = 32_000


class Mipmaps:
    """An image and its halvings, each made when it is first asked for.

    Shrinking by more than two with bilinear interpolation skips pixels; reading from the halving
    nearest to the crop's own scale does not (Williams, "Pyramidal parametrics", 1983).
    """

    def __init__(self, image: Image) -> None:
        self._levels = [image]
        self.width, self.height = image.shape[1], image.shape[0]

    def level(self, index: int) -> Image:
        """The image at 1 / 2**index of its size, or the smallest one there is."""
        while len(self._levels) <= index and min(self._levels[-1].shape[:2]) >= 2:
            last = self._levels[-1]
            size = (-(-last.shape[1] // 2), -(-last.shape[0] // 2))
            self._levels.append(cv2.resize(last, size, interpolation=cv2.INTER_AREA))
        return self._levels[min(index, len(self._levels) - 1)]

    def resized(self, width: int, height: int) -> Image:
        """The whole image at another size, from the smallest halving that is not smaller."""
        ratio = min(self.width / width, self.height / height)
        source = self.level(max(0, int(np.log2(max(ratio, 1.0)))))
        if source.shape[:2] == (height, width):
            return source
        shrinking = source.shape[1] >= width
        method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(source, (width, height), interpolation=method), np.uint8)

    def crops(self, transforms: Array, size: int, *, replicate: bool = False) -> Image:
        """Cut n square crops.

        Args:
            transforms: (n, 2, 3) similarity or axis-aligned transforms from image pixels to crop
                pixels (pixel centres are whole numbers in both).
            size: side of the crops in pixels.
            replicate: where a crop leaves the image, repeat the image's edge instead of black.

        Returns:
            (n, size, size, 3) uint8 RGB.
        """
        out = np.empty((len(transforms), size, size, 3), np.uint8)
        if not len(transforms):
            return out
        inverse = _invert(np.asarray(transforms, np.float64))
        # Image pixels per crop pixel, by area: 2**level of them are averaged beforehand.
        spread = np.sqrt(np.abs(np.linalg.det(inverse[:, :, :2])))
        levels = np.maximum(np.round(np.log2(np.maximum(spread, 1e-6))), 0).astype(int)
        per_call = max(1, _MAX_SIDE // size)
        border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
        for level in np.unique(levels):
            source = self.level(int(level))
            scale = np.asarray(
                (source.shape[1] / self.width, source.shape[0] / self.height), np.float64
            )
            chosen = np.flatnonzero(levels == level)
            for start in range(0, len(chosen), per_call):
                part = chosen[start : start + per_call]
                x, y = _grid(inverse[part], scale, size)
                cut = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=border)
                out[part] = cut.reshape(len(part), size, size, 3)
        return out


def box_transforms(boxes: Array, size: int) -> Array:
    """(n, 4) xyxy boxes to (n, 2, 3) transforms that fill a crop of `size` pixels with each box."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3)
    scale = size / sides
    transforms = np.zeros((len(boxes), 2, 3), np.float64)
    transforms[:, 0, 0], transforms[:, 1, 1] = scale[:, 0], scale[:, 1]
    # Box edges lie between pixels, crop coordinates count pixel centres.
    transforms[:, :, 2] = (0.5 - boxes[:, :2]) * scale - 0.5
    return transforms.astype(np.float32)


def _invert(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.linalg.inv(transforms[:, :, :2])
    shift = -np.einsum("nij,nj->ni", linear, transforms[:, :, 2])
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def _grid(
    inverse: NDArray[np.float64], scale: NDArray[np.float64], size: int
) -> tuple[Array, Array]:
    """Source coordinates of every crop pixel, crops below one another: two (n * size, size)."""
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
