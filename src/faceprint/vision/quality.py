"""What can be said of a face before it is embedded: size, sharpness, how far it is turned."""

from __future__ import annotations

import cv2
import numpy as np

from faceprint.types import Array, Image, Quality

__all__ = ["assess", "yaw_from_landmarks"]

_GOOD_SIZE = 80.0
"""Pixels of the box's shorter side from which more no longer helps a 112-pixel crop."""

_GOOD_SHARPNESS = 150.0
"""Laplacian variance of a 112-pixel crop that counts as sharp (docs/decisions/0003-quality.md)."""


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
    """Quality of one face.

    Args:
        box: (4,) xyxy pixels.
        landmarks: (5, 2) pixels or None.
        crop: (s, s, 3) aligned crop.

    Returns:
        size in pixels; sharpness as the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000)
        of the crop's luminance at 112 pixels; yaw; and their product mapped to 0..1.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    if grey.shape[0] != 112:
        grey = cv2.resize(grey, (112, 112), interpolation=cv2.INTER_AREA)
    # The middle alone: hair and background are not the face's sharpness.
    sharpness = float(cv2.Laplacian(grey[24:104, 16:96], cv2.CV_64F).var())
    size = float(max(0.0, min(box[2] - box[0], box[3] - box[1])))
    yaw = None if landmarks is None else yaw_from_landmarks(landmarks)
    frontal = 1.0 if yaw is None else 1.0 - yaw * yaw
    value = min(1.0, size / _GOOD_SIZE) * min(1.0, sharpness / _GOOD_SHARPNESS) ** 0.5 * frontal
    return Quality(size=size, sharpness=sharpness, yaw=yaw, value=value)
