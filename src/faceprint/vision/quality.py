"""How good a picture of a face is: by its crop, and, once it is embedded, by its embedding."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from faceprint.types import Array, Embedding, Face, Image, Quality
from faceprint.vision.plausible import plausible
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_quality import unpack_centers

__all__ = ["Grader", "assess", "yaw_from_landmarks"]

_GOOD_SIZE = 80.0
"""Pixels of the box's shorter side from which more no longer helps a 112-pixel crop."""

_GOOD_SHARPNESS = 150.0
"""Laplacian variance of a 112-pixel crop that counts as sharp (docs/decisions/0003-quality.md)."""


_LEAST = 0.001
"""Of a face with plausible landmarks."""


def yaw_from_landmarks(landmarks: Array) -> float:
    """How far the head is turned: -1..1, 0 frontal, positive towards image right.

    The nose's offset from the middle of the eyes along the line of the eyes, in halves of their
    distance. It needs no head model and is monotone in the yaw angle up to a profile.
    """
    left, right, nose = (landmarks[index].astype(np.float64) for index in (0, 1, 2))
    axis = right - left
    length = float(np.hypot(*axis))
    if length < 1e-6:
        return 1.0
    offset = float((nose - (left + right) / 2) @ axis) / (length * length)
    return float(np.clip(2 * offset, -1.0, 1.0))


def assess(box: Array, landmarks: Array | None, crop: Image) -> Quality:
    """Quality of one face, by its crop.

    Args:
        box: (4,) xyxy pixels.
        landmarks: (5, 2) pixels or None.
        crop: (s, s, 3) aligned crop.

    Returns:
        size in pixels; sharpness as the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000)
        of the crop's luminance at 112 pixels; yaw; and their product mapped to 0..1. The value is
        0 where the landmarks can't be those of a face.
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    if gray.shape[0] != 112:
        gray = cv2.resize(gray, (112, 112), interpolation=cv2.INTER_AREA)
    # The middle alone: hair and background are not the face's sharpness.
    sharpness = float(cv2.Laplacian(gray[24:104, 16:96], cv2.CV_16S).var(dtype=np.float64))
    size = float(max(0.0, min(box[2] - box[0], box[3] - box[1])))
    yaw = None if landmarks is None else yaw_from_landmarks(landmarks)
    frontal = 1.0 if yaw is None else 1.0 - yaw * yaw
    value = min(1.0, size / _GOOD_SIZE) * min(1.0, sharpness / _GOOD_SHARPNESS) ** 0.5 * frontal
    sensible = landmarks is None or plausible(landmarks, box)
    return Quality(
        size=size,
        sharpness=sharpness,
        yaw=yaw,
        value=value if sensible else 0.0,
        landmarks_plausible=sensible,
    )


class Grader:
    """Reads the quality of faces from their embeddings, as the embedder's card says.

    A poor picture's embedding says little of the person and much of how poor it is: it lies near
    those of other poor pictures, whoever they show. The nearer, the lower the value.

    Args:
        mirrored: the embeddings are sums over the crop and its mirror image, though the card does
            not ask for that; their lengths are then twice what the card's measure means.
    """

    def __init__(self, card: ModelCard, *, mirrored: bool = False) -> None:
        self._measure = card.quality
        self._halves = 2.0 if mirrored else 1.0
        if card.quality is not None:
            self._centers = unpack_centers(card.quality)
            knots = np.asarray(card.quality.knots)
            self._scores, self._values = knots[:, 0], knots[:, 1]

    def quality(self, face: Face, crop: Image, embedding: Embedding | None) -> Quality:
        """Of a face by its (s, s, 3) aligned crop, and by its embedding where there is one."""
        found = assess(face.box, face.landmarks, crop)
        return found if embedding is None else self.grade(found, embedding)

    def grade(self, quality: Quality, embedding: Embedding) -> Quality:
        """The same with the value read from the embedding; unchanged where the card has no measure.

        A value of 0 is kept for landmarks that make no sense.
        """
        if self._measure is None or not quality.landmarks_plausible:
            return quality
        score = self._measure.norm * embedding.norm / self._halves
        if len(self._centers):
            score -= float((self._centers @ embedding.vector).max())
        value = float(np.interp(score, self._scores, self._values))
        return replace(quality, value=max(value, _LEAST), measure="embedding")
