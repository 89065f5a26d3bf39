"""SCRFD: distances from the cell's corner to the four sides, with or without key points.

Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022. With p
the cell's corner and s its stride: box = p - (left, top) s .. p + (right, bottom) s, and a
landmark lies at p + k s. Three strides (8, 16, 32) with two anchors a cell, or five (to 128) with
one; both are read off the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from faceprint.errors import CardError
from faceprint.types import Array, Detections
from faceprint.vision.detect.anchors import by_width, cells, choose, gather

__all__ = ["decode"]


def decode(
    outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float = 0.5
) -> list[Detections]:
    """Raw outputs to faces, in canvas pixels and before suppression.

    Args:
        outputs: per stride scores, boxes and, for models with key points, key points, as
            (rows, 1 | 4 | 10) of one image or (n, rows, 1 | 4 | 10), in any order, any names.
        canvas: (width, height) of what the graph was fed.

    Returns:
        One `Detections` for each image; its landmarks are None where the model has no key points.

    Raises:
        CardError: the outputs are not SCRFD's for that canvas.
        NotFiniteError: NaN or infinity in the outputs.
    """
    classes, boxes, points = (by_width(outputs, width) for width in (1, 4, 10))
    levels = len(classes)
    if levels not in (3, 5) or len(boxes) != levels or len(points) not in (0, levels):
        raise CardError(
            "these outputs are not SCRFD's: three or five strides of scores, boxes and, with key "
            f"points, points; here {levels}, {len(boxes)} and {len(points)}"
        )
    strides = tuple(8 << level for level in range(levels))
    first = -(-canvas[0] // 8) * -(-canvas[1] // 8)
    anchors = max(1, classes[0].shape[1] // first)
    scores = np.concatenate(classes, axis=1)[:, :, 0]
    chosen = choose(scores, score_threshold)
    cell = cells(chosen.row, canvas, strides, anchors, scores.shape[1])
    corner, stride = cell.corners, cell.stride[:, None]
    distance = chosen.of(np.concatenate(boxes, axis=1)) * stride
    box = np.concatenate([corner - distance[:, :2], corner + distance[:, 2:]], axis=1)
    if not points:
        return gather(chosen, box, None)
    offsets = chosen.of(np.concatenate(points, axis=1)).reshape(-1, 5, 2)
    return gather(chosen, box, corner[:, None] + offsets * stride[:, None])
