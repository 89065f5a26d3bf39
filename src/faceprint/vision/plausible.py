"""Whether five points can be the landmarks of a face at all."""

from __future__ import annotations

import cmath
import math

import numpy as np

from faceprint.types import Array

__all__ = ["plausible"]

# Each limit lies outside what four detectors gave on ordinary photographs
# (docs/decisions/0003-quality.md).
_SMALLEST = 0.12
"""Of the box's shorter side: eyes to mouth, and either that or the eyes' distance from each other.
A profile has eyes on top of each other, but a mouth well below them."""
_LARGEST = 0.95
_OUTSIDE = 1.25
"""Halves of the box's side that a point may lie from its center; 1 is its edge."""
_SLANT = 0.5
"""Cosine of how far the line from eyes to mouth may lean from upright, in the face's own frame."""
_NOSE = (0.02, 1.0)
"""Where the nose may lie on the way from eyes (0) to mouth (1)."""
_WIDE = 1.9
"""Eyes' distance to the distance of eyes and mouth; heads that nod come to 1.35."""
_MOUTH = (0.35, 2.0)
"""Mouth's width to the eyes' distance, of faces that are not profiles."""
_ASIDE = 1.05
"""How far the nose may lie to the side while the eyes are wide apart; see `_turned`."""


def plausible(landmarks: Array, box: Array) -> bool:
    """Whether these points can be eyes, nose and mouth corners of the face in that box.

    The face may be rolled by any angle: all is judged in its own frame, the line of the eyes to
    the right and the mouth below. Profiles are plausible.

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
        # A profile: its two eyes, and its mouth's corners, say nothing of left and right.
        return abs(mouth_right - mouth_left) < drop
    upright = (across.conjugate() * down).imag / (eye_distance * drop)
    if upright < _SLANT:
        return False
    if not _MOUTH[0] < _along(mouth_right - mouth_left, across) / eye_distance**2 < _MOUTH[1]:
        return False
    aside = abs(_along(nose - eyes, across)) / eye_distance
    return _turned(eye_distance / drop, aside / drop) < _ASIDE


def _along(vector: complex, axis: complex) -> float:
    """The dot product of two vectors."""
    return (vector.conjugate() * axis).real


def _turned(eye_distance: float, aside: float) -> float:
    """Where eyes and nose lie between frontal and profile; about 1 for every head.

    A head turned by an angle shows its eyes at the angle's cosine of their distance, and the nose
    to the side by its sine. Both in distances of eyes and mouth: 0.92 is the eyes' median on
    frontal faces, 0.5 how far a nose stands out.
    """
    return math.hypot(eye_distance / 0.92, aside / 0.5) / 1.35
