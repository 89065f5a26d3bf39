"""RetinaFace in its PyTorch port with MobileNet 0.25: offsets from prior boxes.

Deng et al., "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", CVPR 2020; the
box encoding is SSD's (Liu et al., ECCV 2016). With c and d a prior's center and side:
center = c + 0.1 d loc[:2], sides = d exp(0.2 loc[2:]), landmark = c + 0.1 d k.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from faceprint.errors import CardError
from faceprint.types import Array, Detections
from faceprint.vision.detect import anchors

__all__ = ["decode"]

_STRIDES = (8, 16, 32)
# Sides of the two square priors per cell, for each stride.
_SIDES = np.asarray(((16, 32), (64, 128), (256, 512)), np.float32)
_CENTER_VARIANCE, _SIZE_VARIANCE = np.float32(0.1), np.float32(0.2)


def decode(
    outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float = 0.6
) -> list[Detections]:
    """See `single_shot.Decoder`.

    Args:
        outputs: (n, rows, 4) box offsets, (n, rows, 2) background and face probability and
            (n, rows, 10) landmark offsets, in any order and under any names.

    Raises:
        CardError: the outputs are not RetinaFace's for that canvas.
    """
    classes, boxes, points = (anchors.outputs_of_width(outputs, width) for width in (2, 4, 10))
    if not len(classes) == len(boxes) == len(points) == 1:
        raise CardError("these outputs are not RetinaFace's: boxes, probabilities and landmarks")
    scores = classes[0][:, :, 1]
    candidates = anchors.select(scores, score_threshold)
    per_cell = _SIDES.shape[1]
    grid = anchors.locate(candidates, canvas, _STRIDES, per_cell=per_cell, total=scores.shape[1])
    priors = grid.corners + grid.strides / 2
    sides = _SIDES[np.searchsorted(_STRIDES, grid.strides), grid.number[:, None]]
    box = candidates.rows_of(boxes[0])
    offsets = candidates.rows_of(points[0]) * _CENTER_VARIANCE
    centers = priors + box[:, :2] * _CENTER_VARIANCE * sides
    return anchors.to_detections(
        candidates,
        anchors.boxes_around(centers, box[:, 2:] * _SIZE_VARIANCE, sides),
        anchors.landmarks_at(priors, offsets, sides),
    )
