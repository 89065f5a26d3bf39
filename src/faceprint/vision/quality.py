"""The quality of a picture of a face, from its crop or, if there is one, from its embedding."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from faceprint.types import Array, Embedding, Face, Image, Quality
from faceprint.vision.plausible import inside, plausible
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_quality import unpack_centers

__all__ = ["QualityAssessor", "assess", "yaw_from_landmarks"]

_GOOD_SIZE = 80.0
"""Pixels of the box's shorter side above which a 112-pixel crop gets no better."""

_GOOD_SHARPNESS = 150.0
"""Laplacian variance of a 112-pixel crop that counts as sharp (docs/decisions/0003-quality.md)."""


_MIN_VALUE = 0.001
"""Lowest value of a face with plausible landmarks."""


def yaw_from_landmarks(landmarks: Array) -> float:
    """How far the head is turned: -1..1, 0 is frontal, positive is towards image right.

    The nose's offset from the middle of the eyes along their line, in halves of their distance. It
    needs no head model and is monotone in the yaw angle up to a profile.
    """
    left, right, nose = (landmarks[index].astype(np.float64) for index in (0, 1, 2))
    axis = right - left
    length = float(np.hypot(*axis))
    if length < 1e-6:
        return 1.0
    offset = float((nose - (left + right) / 2) @ axis) / (length * length)
    return float(np.clip(2 * offset, -1.0, 1.0))


def assess(
    box: Array, landmarks: Array | None, crop: Image, photograph: tuple[int, int] | None = None
) -> Quality:
    """The quality of one face, from its crop.

    Args:
        box: (4,) xyxy pixels.
        landmarks: (5, 2) pixels or None.
        crop: (s, s, 3) aligned crop.
        photograph: its (width, height) in pixels; None where it isn't known.

    Returns:
        size in pixels, sharpness as the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000)
        of the crop's luminance at 112 pixels, yaw, and their product mapped to 0..1. The value is
        0 if the landmarks can't be those of a face, or the photograph's edge cuts them off.
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    if gray.shape[0] != 112:
        gray = cv2.resize(gray, (112, 112), interpolation=cv2.INTER_AREA)
    # Only the middle: hair and background don't count.
    sharpness = float(cv2.Laplacian(gray[24:104, 16:96], cv2.CV_16S).var(dtype=np.float64))
    size = float(max(0.0, min(box[2] - box[0], box[3] - box[1])))
    yaw = None if landmarks is None else yaw_from_landmarks(landmarks)
    frontal = 1.0 if yaw is None else 1.0 - yaw * yaw
    value = min(1.0, size / _GOOD_SIZE) * min(1.0, sharpness / _GOOD_SHARPNESS) ** 0.5 * frontal
    sensible = landmarks is None or (
        plausible(landmarks, box) and (photograph is None or inside(landmarks, photograph))
    )
    return Quality(
        size=size,
        sharpness=sharpness,
        yaw=yaw,
        value=value if sensible else 0.0,
        landmarks_plausible=sensible,
    )


class QualityAssessor:
    """Computes the quality of faces by the measure on the embedder's card.

    The embedding of a poor picture says little about the person: it lies near those of other poor
    pictures, whoever they show. The nearer it lies, the lower the value.

    Args:
        mirrored: the embeddings are sums over the crop and its mirror image, although the card does
            not ask for that; they are then twice as long as the card's measure assumes.
    """

    def __init__(self, card: ModelCard, *, mirrored: bool = False) -> None:
        self._measure = card.quality
        self._views = 2.0 if mirrored else 1.0
        if card.quality is not None:
            self._centers = unpack_centers(card.quality)
            knots = np.asarray(card.quality.knots)
            self._scores, self._values = knots[:, 0], knots[:, 1]

    def assess(
        self, face: Face, crop: Image, embedding: Embedding | None, photograph: tuple[int, int]
    ) -> Quality:
        """The quality of a face from its (s, s, 3) aligned crop and, if given, its embedding.

        `photograph` is the (width, height) of the photograph in pixels.
        """
        found = assess(face.box, face.landmarks, crop, photograph)
        return found if embedding is None else self.from_embedding(found, embedding)

    def from_embedding(self, quality: Quality, embedding: Embedding) -> Quality:
        """The same quality with its value from the embedding.

        Unchanged if the card has no measure, or if the landmarks are not plausible.
        """
        if self._measure is None or not quality.landmarks_plausible:
            return quality
        score = self._measure.norm * embedding.norm / self._views
        if len(self._centers):
            score -= float((self._centers @ embedding.vector).max())
        value = float(np.interp(score, self._scores, self._values))
        return replace(quality, value=max(value, _MIN_VALUE), measure="embedding")
