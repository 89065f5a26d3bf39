"""deepface's recognition models by name, as cards of the zoo, with deepface's thresholds."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from faceprint.errors import NotFiniteError, UsageError
from faceprint.types import Array, Image
from faceprint.vision.analyzer import FaceAnalyzer, load

__all__ = ["MODELS", "Recognizer", "embed", "find_recognizer", "threshold_of"]


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A model of deepface's.

    Attributes:
        name: deepface's name of it.
        card: the id of the card with the same network.
        side: of the square crop that it takes, in pixels.
        dim: numbers of an embedding.
        thresholds: deepface's largest distance of one person, by metric.
    """

    name: str
    card: str
    side: int
    dim: int
    thresholds: dict[str, float]


MODELS = {
    each.name: each
    for each in (
        Recognizer(
            *("Dlib", "dlib-resnet", 150, 128),
            {"cosine": 0.07, "euclidean": 0.6, "euclidean_l2": 0.4, "angular": 0.12},
        ),
        Recognizer(
            *("SFace", "sface", 112, 128),
            {"cosine": 0.593, "euclidean": 10.734, "euclidean_l2": 1.055, "angular": 0.36},
        ),
        Recognizer(
            *("Buffalo_L", "w600k-r50", 112, 512),
            {"cosine": 0.55, "euclidean": 0.6, "euclidean_l2": 1.1, "angular": 0.45},
        ),
    )
}

_ELSEWHERE = {
    "ArcFace": "deepface's ArcFace is another network than any card's; the nearest are Buffalo_L "
    "and faceprint.load('arcface')",
}


def find_recognizer(name: str) -> Recognizer:
    """The model of that name.

    Raises:
        UsageError: it is not covered.
    """
    if name not in MODELS:
        reason = _ELSEWHERE.get(name, "no card has that network")
        raise UsageError(
            f"model_name {name!r} is not covered: {reason}. Take {' or '.join(MODELS)}"
        )
    return MODELS[name]


def threshold_of(recognizer: Recognizer, metric: str, chosen: float | None) -> float:
    """The chosen threshold, else deepface's for the model and metric.

    Raises:
        UsageError: another metric.
    """
    if metric not in recognizer.thresholds:
        known = " or ".join(map(repr, recognizer.thresholds))
        raise UsageError(f"distance_metric {metric!r} is not covered. Take {known}")
    return recognizer.thresholds[metric] if chosen is None else float(chosen)


def embed(recognizer: Recognizer, crops: list[Image]) -> Array:
    """(n, dim) outputs of the network.

    Args:
        crops: (h, w, 3) RGB uint8 of any size; each is scaled into a square, with black beside it.

    Raises:
        LicenseNotAcceptedError, ModelMissingError: see `faceprint.load`.
        NotFiniteError: the network gave NaN or infinity.
    """
    raw = _analyzer(recognizer.card).embedder.raw(
        [_squared(crop, recognizer.side) for crop in crops]
    )
    if not np.isfinite(raw).all():
        raise NotFiniteError(f"{recognizer.card} gave NaN or infinity for a face")
    return raw


@functools.lru_cache(maxsize=4)
def _analyzer(card: str) -> FaceAnalyzer:
    # An analyzer opens its sessions again in a forked child; its detector is not opened here.
    return load(detector="mtcnn", embedder=card)


def _squared(crop: Image, side: int) -> Image:
    height, width = crop.shape[:2]
    factor = min(side / height, side / width)
    new_width, new_height = max(1, int(width * factor)), max(1, int(height * factor))
    # In float32 and then cut off, as deepface does it; rounding would differ by a gray level.
    scaled = cv2.resize(crop.astype(np.float32), (new_width, new_height))
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - new_height) // 2, (side - new_width) // 2
    square[top : top + new_height, left : left + new_width] = scaled
    return square
