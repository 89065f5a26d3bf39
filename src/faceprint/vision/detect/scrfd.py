"""SCRFD: distances from the cell's corner to the four sides, with or without key points.

Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022. With p
the cell's corner and s its stride: box = p - (left, top) s .. p + (right, bottom) s, and a
landmark lies at p + k s. There are three strides (8, 16, 32) with two anchors per cell, or five
(up to 128) with one; the outputs show which.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from faceprint.errors import CardError
from faceprint.types import Array, Detections
from faceprint.vision.detect import anchors

__all__ = ["decode"]


def decode(
    outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float = 0.5
) -> list[Detections]:
    """See `single_shot.Decoder`; there are no landmarks if the model has no key points.

    Args:
        outputs: per stride scores, boxes and, for models with key points, key points, as
            (rows, 1 | 4 | 10) of one image or (n, rows, 1 | 4 | 10), in any order, any names.

    Raises:
        CardError: the outputs are not SCRFD's for that canvas.
    """
    classes, boxes, points = (anchors.outputs_of_width(outputs, width) for width in (1, 4, 10))
    levels = len(classes)
    if levels not in (3, 5) or len(boxes) != levels or len(points) not in (0, levels):
        raise CardError(
            "these outputs are not SCRFD's: three or five strides of scores, boxes and, with key "
            f"points, points; here {levels}, {len(boxes)} and {len(points)}"
        )
    strides = tuple(8 << level for level in range(levels))
    cells = -(-canvas[0] // 8) * -(-canvas[1] // 8)
    per_cell = max(1, classes[0].shape[1] // cells)
    scores = np.concatenate(classes, axis=1)[:, :, 0]
    candidates = anchors.select(scores, score_threshold)
    grid = anchors.locate(candidates, canvas, strides, per_cell=per_cell, total=scores.shape[1])
    distances = candidates.rows_of(np.concatenate(boxes, axis=1)) * grid.strides
    box = np.concatenate([grid.corners - distances[:, :2], grid.corners + distances[:, 2:]], axis=1)
    if not points:
        return anchors.to_detections(candidates, box, None)
    offsets = candidates.rows_of(np.concatenate(points, axis=1))
    return anchors.to_detections(
        candidates, box, anchors.landmarks_at(grid.corners, offsets, grid.strides)
    )
