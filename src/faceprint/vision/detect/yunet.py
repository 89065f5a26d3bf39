"""YuNet: anchor-free, one prediction a cell at strides 8, 16 and 32.

Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20,
2023. With (column, row) the cell and s its stride: score = sqrt(cls obj); the box has the center
((column, row) + offset) s and the sides exp(size) s; a landmark lies at ((column, row) + k) s.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from faceprint.errors import CardError
from faceprint.types import Array, Detections
from faceprint.vision.detect.anchors import by_width, cells, choose, exp, gather

__all__ = ["decode"]

_STRIDES = (8, 16, 32)


def decode(
    outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float = 0.6
) -> list[Detections]:
    """Raw outputs to faces, in canvas pixels and before suppression.

    Args:
        outputs: per stride (n, rows, 1) class and objectness, (n, rows, 4) boxes and
            (n, rows, 10) key points, under any names.
        canvas: (width, height) of what the graph was fed.

    Returns:
        One `Detections` for each of the n images.

    Raises:
        CardError: the outputs are not YuNet's for that canvas.
        NotFiniteError: NaN or infinity in the outputs.
    """
    pairs, boxes, points = (by_width(outputs, width) for width in (1, 4, 10))
    if (len(pairs), len(boxes), len(points)) != (6, 3, 3):
        raise CardError("these outputs are not YuNet's: it has class, objectness, box and points")
    # Class and objectness look alike, and their product does not care which is which.
    product = [
        np.maximum(a, 0) * np.maximum(b, 0) for a, b in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    scores = np.sqrt(np.concatenate(product, axis=1)[:, :, 0])
    chosen = choose(scores, score_threshold)
    cell = cells(chosen.row, canvas, _STRIDES, 1, scores.shape[1])
    origin, stride = cell.corners, cell.stride[:, None]
    box = chosen.of(np.concatenate(boxes, axis=1))
    center, half = origin + box[:, :2] * stride, exp(box[:, 2:]) * stride / 2
    offsets = chosen.of(np.concatenate(points, axis=1)).reshape(-1, 5, 2)
    landmarks = origin[:, None] + offsets * stride[:, None]
    return gather(chosen, np.concatenate([center - half, center + half], axis=1), landmarks)
