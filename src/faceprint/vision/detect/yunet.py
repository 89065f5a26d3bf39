"""YuNet: anchor-free, one prediction per cell at strides 8, 16 and 32.

Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20,
2023. With p the corner of a cell and s its stride: score = sqrt(cls obj); the box has the center
p + offset s and the sides exp(size) s; a landmark lies at p + k s.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from faceprint.errors import CardError
from faceprint.types import Array, Detections
from faceprint.vision.detect import anchors

__all__ = ["decode"]

_STRIDES = (8, 16, 32)


def decode(
    outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float = 0.6
) -> list[Detections]:
    """See `single_shot.Decoder`.

    Args:
        outputs: per stride (n, rows, 1) class and objectness, (n, rows, 4) boxes and
            (n, rows, 10) key points, under any names.

    Raises:
        CardError: the outputs are not YuNet's for that canvas.
    """
    factors, boxes, points = (anchors.outputs_of_width(outputs, width) for width in (1, 4, 10))
    if (len(factors), len(boxes), len(points)) != (6, 3, 3):
        raise CardError("these outputs are not YuNet's: it has class, objectness, box and points")
    # Class and objectness look alike, and their product does not depend on which is which.
    products = [
        np.maximum(a, 0) * np.maximum(b, 0)
        for a, b in zip(factors[::2], factors[1::2], strict=True)
    ]
    scores = np.sqrt(np.concatenate(products, axis=1)[:, :, 0])
    candidates = anchors.select(scores, score_threshold)
    grid = anchors.locate(candidates, canvas, _STRIDES, per_cell=1, total=scores.shape[1])
    box = candidates.rows_of(np.concatenate(boxes, axis=1))
    offsets = candidates.rows_of(np.concatenate(points, axis=1))
    centers = grid.corners + box[:, :2] * grid.strides
    return anchors.to_detections(
        candidates,
        anchors.boxes_around(centers, box[:, 2:], grid.strides),
        anchors.landmarks_at(grid.corners, offsets, grid.strides),
    )
