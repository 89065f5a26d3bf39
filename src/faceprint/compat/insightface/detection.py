"""SCRFD as insightface runs it: the photograph in the top left corner of each canvas.

faceprint's own search adds passes for very large and very small faces, and would find more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from faceprint.compat.bgr import bgr_to_rgb
from faceprint.errors import CardError, UsageError
from faceprint.geometry import nms
from faceprint.types import Array, Detections, Image
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.detect.single_shot import SingleShotDetector

__all__ = ["Detection", "sizes_of"]

_DEFAULT_SIZES = ((128, 128), (640, 640))
_STEP = 32
_LARGEST = 8192
_OVERLAP = 0.4
"""Intersection over union from which two boxes are one face."""


def sizes_of(det_size: object) -> list[tuple[int, int]]:
    """The (width, height) of each canvas; None and (0, 0) are insightface 2.1's two defaults.

    Raises:
        UsageError: neither a pair of sides nor a list of pairs.
    """
    if det_size is None:
        return list(_DEFAULT_SIZES)
    try:
        sizes = np.asarray(det_size, np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"det_size is {det_size!r}, not (width, height)") from error
    if sizes.shape == (2,) and not sizes.any():
        return list(_DEFAULT_SIZES)
    pairs = sizes.reshape(-1, 2) if sizes.shape[-1:] == (2,) else np.empty((0, 2), np.int64)
    if not len(pairs) or pairs.min() < 1 or pairs.max() > _LARGEST:
        raise UsageError(f"det_size is {det_size!r}, not (width, height) from 1 to {_LARGEST}")
    return list(dict.fromkeys((int(width), int(height)) for width, height in pairs))


class Detection:
    """A pack's detector: `FaceAnalysis.det_model`, and `models["detection"]`."""

    taskname = "detection"

    def __init__(
        self, analyzer: FaceAnalyzer, det_thresh: float, sizes: Sequence[tuple[int, int]]
    ) -> None:
        self._analyzer, self._threshold, self._sizes = analyzer, det_thresh, list(sizes)
        self._open()

    def _open(self) -> SingleShotDetector:
        """The detector, which an analyzer opens again in a forked child."""
        detector = self._analyzer.detector
        if not isinstance(detector, SingleShotDetector):
            raise CardError(f"{self._analyzer.detector_card.id} is no SCRFD")
        # One pass without enlarging; boxes of all canvases go through one suppression.
        detector.settings = replace(
            detector.settings,
            score_threshold=self._threshold,
            nms_threshold=1.0,
            max_side=_LARGEST,
            min_side=1,
            coarse_side=0,
            margin=0.0,
            zoom=1.0,
        )
        return detector

    def detect(
        self, img: Image, input_size: object = None, max_num: int = 0, metric: str = "default"
    ) -> tuple[Array, Array]:
        """(n, 5) x1 y1 x2 y2 score, best first, and (n, 5, 2) landmarks.

        Args:
            img: (H, W, 3) BGR uint8.
            input_size: canvases for this image; None for the usual ones.
            max_num: most faces to return; 0 for all.
            metric: which faces those are: `max` for the largest, `default` for large ones near the
                middle.
        """
        sizes = self._sizes if input_size is None else sizes_of(input_size)
        found = self.find(bgr_to_rgb(img), sizes, max_num, metric)
        assert found.landmarks is not None
        return np.concatenate([found.boxes, found.scores[:, None]], axis=1), found.landmarks

    def find(
        self,
        image: Image,
        sizes: Sequence[tuple[int, int]] | None = None,
        max_num: int = 0,
        metric: str = "default",
    ) -> Detections:
        """The faces of an RGB image."""
        if metric not in ("default", "max"):
            raise UsageError(f"the metric is {metric!r}, not 'default' or 'max'")
        parts = [self._pass(image, size) for size in sizes or self._sizes]
        boxes = np.concatenate([part.boxes for part in parts])
        scores = np.concatenate([part.scores for part in parts])
        points = [part.landmarks for part in parts if part.landmarks is not None]
        found = Detections(boxes, scores, np.concatenate(points))
        found = found[nms(boxes, scores, _OVERLAP)]
        found = found[np.argsort(-found.scores, kind="stable")]
        if not 0 < max_num < len(found):
            return found
        value = found.areas
        if metric == "default":
            middle = np.asarray((image.shape[1] // 2, image.shape[0] // 2), np.float32)
            offset = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - middle
            value = value - 2 * (offset**2).sum(axis=1)
        return found[np.argsort(-value, kind="stable")[:max_num]]

    def _pass(self, image: Image, size: tuple[int, int]) -> Detections:
        height, width = image.shape[:2]
        ratio = height / width
        if ratio > size[1] / size[0]:
            new = max(1, int(size[1] / ratio)), size[1]
        else:
            new = size[0], max(1, int(size[0] * ratio))
        scale = new[1] / height
        canvas = np.zeros((_steps(size[1]), _steps(size[0]), 3), np.uint8)
        canvas[: new[1], : new[0]] = cv2.resize(image, new)
        (found,) = self._open().detect([canvas])
        if found.landmarks is None:
            raise CardError("the detector gives no landmarks, which alignment needs")
        return Detections(found.boxes / scale, found.scores, found.landmarks / scale)


def _steps(side: int) -> int:
    """The side in whole strides of the network."""
    return -(-side // _STEP) * _STEP
