"""Whether five points can be the landmarks of a face, and whether the photograph shows them."""

from __future__ import annotations

import cmath
import math

import numpy as np

from faceprint.types import Array

__all__ = ["inside", "plausible"]

# Each limit lies outside the range that four detectors gave on ordinary photographs
# (docs/decisions/0003-quality.md).
_SMALLEST = 0.12
"""Smallest distance of eyes and mouth, as a share of the box's shorter side; eyes closer together
than this are those of a profile."""
_LARGEST = 0.95
"""Largest distance of eyes and mouth, or of the eyes, as a share of the box's shorter side."""
_OUTSIDE = 1.25
"""Distance of a point from the box's center, in halves of its side; 1 is the edge."""
_SLANT = 0.5
"""Smallest cosine of the angle between the line from eyes to mouth and upright."""
_NOSE = (0.02, 1.0)
"""Range of the nose's position on the line from eyes (0) to mouth (1)."""
_WIDE = 1.9
"""Largest ratio of the eyes' distance to that of eyes and mouth; nodding heads reach 1.35."""
_MOUTH = (0.35, 2.0)
"""Range of the mouth's width over the eyes' distance, except in profiles."""
_EDGE = 0.1
"""Smallest distance of a point from the photograph's edge, as a share of the eyes' distance;
0.15 to 0.6 in photographs cut exactly to the face (docs/decisions/0003-quality.md)."""
_ASIDE = 1.05
"""Largest value of `_turned`: a nose far to the side needs eyes close together."""


def plausible(landmarks: Array, box: Array) -> bool:
    """Whether these points can be eyes, nose and mouth corners of the face in that box.

    The face may be rolled by any angle. Positions are relative to the line of the eyes, with the
    mouth below it. Profiles are plausible.

    Args:
        landmarks: (5, 2) pixels: eye, eye, nose, mouth corner, mouth corner, image left first.
        box: (4,) xyxy pixels.
    """
    # Complex numbers: for so few points, arrays take three times as long.
    x1, y1, x2, y2 = np.asarray(box, np.float64).tolist()
    width, height, center = x2 - x1, y2 - y1, complex(x1 + x2, y1 + y2) / 2
    points = [complex(x, y) for x, y in np.asarray(landmarks, np.float64).tolist()]
    if not all(map(cmath.isfinite, (*points, center))) or not min(width, height) > 0:
        return False
    for offset in (point - center for point in points):
        if max(abs(offset.real) / width, abs(offset.imag) / height) > _OUTSIDE / 2:
            return False
    left, right, nose, mouth_left, mouth_right = points
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    across, down = right - left, mouth - eyes
    eye_distance, drop, side = abs(across), abs(down), min(width, height)
    if drop < _SMALLEST * side or max(drop, eye_distance) > _LARGEST * side:
        return False
    along = _along(nose - eyes, down) / drop**2
    if not _NOSE[0] < along < _NOSE[1] or eye_distance > _WIDE * drop:
        return False
    if eye_distance < _SMALLEST * side:
        # A profile, where left and right can't be told apart.
        return abs(mouth_right - mouth_left) < drop
    upright = (across.conjugate() * down).imag / (eye_distance * drop)
    if upright < _SLANT:
        return False
    if not _MOUTH[0] < _along(mouth_right - mouth_left, across) / eye_distance**2 < _MOUTH[1]:
        return False
    aside = abs(_along(nose - eyes, across)) / eye_distance
    return _turned(eye_distance / drop, aside / drop) < _ASIDE


def inside(landmarks: Array, size: tuple[int, int]) -> bool:
    """Whether the photograph shows eyes, nose and mouth.

    Where its edge cuts a face, detectors guess the rest, beyond the edge or squeezed against it.

    Args:
        landmarks: (5, 2) pixels.
        size: (width, height) of the photograph in pixels.
    """
    margin = _EDGE * float(np.hypot(*(landmarks[1] - landmarks[0])))
    return bool(((landmarks >= margin) & (landmarks <= np.subtract(size, margin))).all())


def _along(vector: complex, axis: complex) -> float:
    """The dot product of two vectors."""
    return (vector.conjugate() * axis).real


def _turned(eye_distance: float, aside: float) -> float:
    """Combined width of eyes and nose; about 1 for a head at any angle.

    As a head turns by an angle, the eyes' distance shrinks by its cosine and the nose moves to the
    side by its sine. In distances of eyes and mouth, 0.92 is the median of the eyes' distance on
    frontal faces, and a nose stands out by 0.5.
    """
    return math.hypot(eye_distance / 0.92, aside / 0.5) / 1.35
