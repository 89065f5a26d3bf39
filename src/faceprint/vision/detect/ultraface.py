"""UltraFace: the graph decodes its boxes itself, to shares of the canvas; no landmarks.

Linzaer, "Ultra-Light-Fast-Generic-Face-Detector-1MB", 2019, as published in the ONNX Model Zoo.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from faceprint.errors import CardError
from faceprint.types import Array, Detections
from faceprint.vision.detect import anchors

__all__ = ["decode"]


def decode(
    outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float = 0.7
) -> list[Detections]:
    """See `single_shot.Decoder`; there are no landmarks.

    Args:
        outputs: (n, rows, 2) background and face probability and (n, rows, 4) corners x1 y1 x2 y2
            as shares of the canvas, in any order and under any names.

    Raises:
        CardError: the outputs are not UltraFace's.
    """
    classes, boxes = anchors.outputs_of_width(outputs, 2), anchors.outputs_of_width(outputs, 4)
    complete = len(outputs) == 2 and len(classes) == len(boxes) == 1
    if not complete or classes[0].shape[:2] != boxes[0].shape[:2]:
        raise CardError("these outputs are not UltraFace's: probabilities and boxes, row by row")
    candidates = anchors.select(classes[0][:, :, 1], score_threshold)
    scale = np.asarray(canvas * 2, np.float32)
    return anchors.to_detections(candidates, candidates.rows_of(boxes[0]) * scale, None)
