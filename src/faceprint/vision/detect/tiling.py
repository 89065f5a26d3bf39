"""Windows of a photograph that are searched separately, and merging what is found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceprint.geometry import nms
from faceprint.types import Array, Detections

__all__ = ["Window", "merge", "scaled_canvas", "spans"]

_STEP = 32
"""Sides of a scaled canvas are multiples of the coarsest stride."""

_OVERLAP = 0.2
"""Share of a tile that its neighbor also covers; faces missed at half the scale are smaller."""

_SEAM_OVERLAP = 0.6
"""Share of the smaller of two boxes inside the larger, above which they show the same face."""

_SLACK = 0.05
"""Share of a box's longer side within which it counts as reaching an edge."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image to search.

    Attributes:
        image: index of the image.
        area: left, top, right, bottom in the image's pixels.
        canvas: (width, height) that the area is fitted into.
        margin: share of the canvas left free on each side.
        min_face: longer side that a face must at least have, in the image's pixels.
    """

    image: int
    area: tuple[int, int, int, int]
    canvas: tuple[int, int]
    margin: float = 0.0
    min_face: float = 0.0


def merge(parts: Sequence[tuple[Window, Detections]], size: tuple[int, int]) -> Detections:
    """Merge the faces of one image's windows, best score first.

    Args:
        size: (width, height) of the image.
    """
    # The faces of one window have already been through suppression.
    parts = [part for part in parts if len(part[1])] or parts[:1]
    if len(parts) == 1:
        return parts[0][1]
    points = [faces.landmarks for _, faces in parts if faces.landmarks is not None]
    faces = Detections(
        np.concatenate([faces.boxes for _, faces in parts]),
        np.concatenate([faces.scores for _, faces in parts]),
        np.concatenate(points) if len(points) == len(parts) else None,
    )
    # A face cut off by a tile's edge lies inside the whole face of the next tile; it must not win.
    cut = np.concatenate([_cut(window, faces.boxes, size) for window, faces in parts])
    kept = faces[nms(faces.boxes, faces.scores - cut, _SEAM_OVERLAP, over_minimum=True)]
    return kept[np.argsort(-kept.scores, kind="stable")]


def _cut(window: Window, boxes: Array, size: tuple[int, int]) -> Array:
    """(n,) 1 where a box reaches an edge of its window that is not the image's, else 0."""
    left, top, right, bottom = window.area
    limits = np.asarray(
        (
            left or -np.inf,
            top or -np.inf,
            right if right < size[0] else np.inf,
            bottom if bottom < size[1] else np.inf,
        )
    )
    slack = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) * _SLACK
    before, after = boxes[:, :2] - slack <= limits[:2], boxes[:, 2:] + slack >= limits[2:]
    return np.asarray((before | after).any(axis=1), np.float32)


def spans(length: int, tile: float) -> list[tuple[int, int]]:
    """Overlapping intervals that cover 0..length evenly, each at most `tile` long."""
    if length <= tile:
        return [(0, length)]
    size = int(tile)
    count = 1 + int(np.ceil((length - size) / max(1.0, size * (1 - _OVERLAP))))
    starts = np.linspace(0, length - size, count).round().astype(int)
    return [(int(start), int(start) + size) for start in starts]


def scaled_canvas(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The canvas for (width, height) scaled to a longer side of `longest`; sides in whole steps."""
    scale = longest / max(size)
    width, height = (max(1, -(-round(side * scale) // _STEP)) * _STEP for side in size)
    return width, height
