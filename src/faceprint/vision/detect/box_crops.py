"""Square crops of many boxes out of many images, in few calls: the input of MTCNN's last stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Image
from faceprint.vision.mipmaps import MAX_SIDE, Mipmaps, Span, nearest_level

__all__ = ["box_crops"]

_CROPS_PER_CALL = 64
"""Crops of 48 pixels whose maps nearly fit into a core's cache."""

_STACKED_PIXELS = 1_000_000
"""Pixels of small images that are stacked, so that one call cuts crops out of all of them."""


def box_crops(
    mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp], size: int
) -> Image:
    """Cut (n, 4) xyxy boxes out of their images; each becomes a square of `size`.

    Where a box leaves its image, the image's edge is repeated. No photograph is decoded again.

    Args:
        owner: (n,) index of the image of each box.

    Returns:
        (n, size, size, 3) uint8 RGB.
    """
    out = np.empty((len(boxes), size, size, 3), np.uint8)
    corners = np.asarray(boxes, np.float64)
    steps = np.maximum(corners[:, 2:] - corners[:, :2], 1e-3) / size
    finest = np.asarray([2.0**mips.halvings for mips in mipmaps])
    levels = nearest_level(np.maximum(np.sqrt(steps.prod(axis=1)), finest[owner]))
    # Box edges lie between pixels, but remap's coordinates are those of pixel centers.
    points = corners[:, :2, None] + steps[:, :, None] * (np.arange(size) + 0.5)
    for span, images, indices in _stacks(mipmaps, owner, levels):
        stack, (height, width) = _stacked(images), images[0].shape[:2]
        scale = np.asarray((width / span[0], height / span[1]), np.float64)
        chosen = np.concatenate(indices)
        places = np.asarray(points[chosen] * scale[:, None] - 0.5, np.float32)
        # In 32nds of a pixel, the resolution of remap.
        last = np.asarray(((width - 1,), (height - 1,)), np.float32)
        thirty_seconds = np.rint(np.clip(places, 0, last) * 32).astype(np.int32)
        whole, rest = thirty_seconds >> 5, (thirty_seconds & 31).astype(np.uint16)
        above = np.repeat(np.arange(len(images)) * height, [len(part) for part in indices])
        whole[:, 1] += above[:, None].astype(np.int32)
        # A crop's map is a row of columns and a column of rows.
        left, top, across, down = whole[:, 0], whole[:, 1] << 16, rest[:, 0], rest[:, 1] << 5
        for start in range(0, len(chosen), _CROPS_PER_CALL):
            part = slice(start, start + _CROPS_PER_CALL)
            # Pairs of 16-bit numbers, x first (little-endian); the index of one of 1024 weights.
            pairs = left[part, None, :] | top[part, :, None]
            weights = across[part, None, :] | down[part, :, None]
            cut = cv2.remap(
                stack,
                pairs.view(np.int16).reshape(-1, size, 2),
                weights.reshape(-1, size),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            out[chosen[part]] = cut.reshape(-1, size, size, 3)
    return out


def _stacks(
    mipmaps: Sequence[Mipmaps], owner: NDArray[np.intp], levels: NDArray[np.int_]
) -> Iterator[tuple[Span, list[Image], list[NDArray[np.intp]]]]:
    """Images of one size, as many as fit into one stack, and the crops that are read from them.

    Yields:
        The images' span, the images, and for each image the indices of its crops.
    """
    groups: dict[tuple[Span, int, int], tuple[list[Image], list[NDArray[np.intp]]]] = {}
    if not len(owner):
        return
    order = np.lexsort((levels, owner))
    keys = np.stack([owner[order], levels[order]])
    starts = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=-1), axis=0))
    for crops in np.split(order, starts[1:]):
        image, span = mipmaps[owner[crops[0]]].view(int(levels[crops[0]]))
        height, width = image.shape[:2]
        key = span, width, height
        images, indices = groups.setdefault(key, ([], []))
        images.append(image)
        indices.append(crops)
        if len(images) >= min(_STACKED_PIXELS // (width * height), MAX_SIDE // height):
            yield span, *groups.pop(key)
    for (span, *_), group in groups.items():
        yield span, *group


def _stacked(images: list[Image]) -> Image:
    """The images below one another; a single one is not copied."""
    return images[0] if len(images) == 1 else np.concatenate(images)
