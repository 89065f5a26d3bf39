"""deepface's detectors by name, as cards of the zoo, with boxes and eyes in whole pixels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from faceprint.compat.deepface.mtcnn import find_faces
from faceprint.errors import UsageError
from faceprint.types import Detections, Image
from faceprint.vision.analyzer import FaceAnalyzer, load
from faceprint.vision.detect.mtcnn import MtcnnDetector
from faceprint.vision.detect.single_shot import SingleShotDetector
from faceprint.vision.load import Detector

__all__ = ["BACKENDS", "Region", "check_backend", "detect"]

Point = tuple[int, int]

_YUNET_SIDE, _SURE = 640, 0.9
"""Longest side that deepface gives YuNet, and the lowest score of a face of its YuNet and
RetinaFace."""


@dataclass(frozen=True, slots=True)
class Region:
    """A face; the eyes are the person's own left and right, as deepface has them.

    Attributes:
        box: x, y, w, h in pixels.
        score: the detector's confidence, 0..1.
        points: pixels by `left_eye`, `right_eye`, `nose`, `mouth_left` and `mouth_right`.
    """

    box: tuple[int, int, int, int]
    score: float
    points: dict[str, Point]


def detect(backend: str, image: Image) -> list[Region]:
    """The faces of an RGB image, most confident first.

    Raises:
        UsageError: a detector that is not covered.
    """
    return BACKENDS[check_backend(backend)](image)


def check_backend(backend: str) -> str:
    """The name, if it is that of a detector.

    Raises:
        UsageError: it is not covered.
    """
    if backend not in BACKENDS:
        known = " or ".join(BACKENDS)
        raise UsageError(f"detector_backend {backend!r} is not covered. Take {known}, or 'skip'")
    return backend


def _mtcnn(image: Image) -> list[Region]:
    detector = _open("mtcnn")
    assert isinstance(detector, MtcnnDetector)
    found = find_faces(detector, image)
    return [_region(found, row, np.rint, ("left_eye", "right_eye")) for row in range(len(found))]


def _yunet(image: Image) -> list[Region]:
    height, width = image.shape[:2]
    factor = min(1.0, _YUNET_SIDE / max(height, width))
    canvas = np.zeros((_YUNET_SIDE, _YUNET_SIDE, 3), np.uint8)
    size = max(1, int(width * factor)), max(1, int(height * factor))
    part = image if factor == 1 else cv2.resize(image, size)
    canvas[: part.shape[0], : part.shape[1]] = part
    (found,) = _open("yunet-2023mar").detect([canvas])
    regions = []
    for row in range(len(found)):
        # Whole pixels of the smaller image, and then of the image.
        small = _region(found, row, np.trunc, ("left_eye", "right_eye"))
        x, y, w, h = small.box
        box = (max(x, 0), max(y, 0), w, h)
        points = {name: (int(x / factor), int(y / factor)) for name, (x, y) in small.points.items()}
        x, y, w, h = (int(value / factor) for value in box)
        regions.append(Region((x, y, w, h), small.score, points))
    return regions


def _retinaface(image: Image) -> list[Region]:
    (found,) = _open("retinaface-mnet025").detect([image])
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    return [_region(found, row, np.trunc, names) for row in range(len(found))]


BACKENDS: dict[str, Callable[[Image], list[Region]]] = {
    "mtcnn": _mtcnn,
    "yunet": _yunet,
    "retinaface": _retinaface,
}


def _region(
    found: Detections,
    row: int,
    whole: Callable[[np.ndarray], np.ndarray],
    names: tuple[str, ...],
) -> Region:
    assert found.landmarks is not None
    left, top, right, bottom = found.boxes[row].astype(np.float64)
    x, y, w, h = (int(each) for each in whole(np.array((left, top, right - left, bottom - top))))
    marks = whole(found.landmarks[row])
    # Our first eye and mouth corner are the image's left ones, which are the person's right.
    order = {"left_eye": 1, "right_eye": 0, "nose": 2, "mouth_left": 4, "mouth_right": 3}
    points = {name: (int(marks[order[name]][0]), int(marks[order[name]][1])) for name in names}
    return Region((x, y, w, h), float(found.scores[row]), points)


@functools.lru_cache(maxsize=4)
def _analyzer(card_id: str) -> FaceAnalyzer:
    # An analyzer opens its sessions again in a forked child; its embedder is not opened here.
    return load(detector=card_id, embedder="dlib-resnet")


def _open(card_id: str) -> Detector:
    detector = _analyzer(card_id).detector
    if isinstance(detector, SingleShotDetector):
        # deepface makes one pass.
        detector.settings = replace(
            detector.settings, score_threshold=_SURE, coarse_side=0, margin=0.0, zoom=1.0
        )
    return detector
