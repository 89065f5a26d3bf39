"""Whether five points can be the landmarks of a face at all."""

from __future__ import annotations

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
    points, edges = np.asarray(landmarks, np.float64), np.asarray(box, np.float64)
    sides = edges[2:] - edges[:2]
    if not np.isfinite(points).all() or not np.isfinite(sides).all() or sides.min() <= 0:
        return False
    if np.abs((points - (edges[:2] + edges[2:]) / 2) / (sides / 2)).max() > _OUTSIDE:
        return False
    left, right, nose, mouth_left, mouth_right = points
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    across, down = right - left, mouth - eyes
    eye_distance, drop = float(np.hypot(*across)), float(np.hypot(*down))
    side = float(sides.min())
    if drop < _SMALLEST * side or max(drop, eye_distance) > _LARGEST * side:
        return False
    along = float((nose - eyes) @ down) / drop**2
    if not _NOSE[0] < along < _NOSE[1] or eye_distance > _WIDE * drop:
        return False
    if eye_distance < _SMALLEST * side:
        # A profile: its two eyes, and its mouth's corners, say nothing of left and right.
        return float(np.hypot(*(mouth_right - mouth_left))) < drop
    upright = float(across[0] * down[1] - across[1] * down[0]) / (eye_distance * drop)
    if upright < _SLANT:
        return False
    width = float((mouth_right - mouth_left) @ across) / eye_distance**2
    if not _MOUTH[0] < width < _MOUTH[1]:
        return False
    aside = abs(float((nose - eyes) @ across)) / eye_distance
    return _turned(eye_distance / drop, aside / drop) < _ASIDE


def _turned(eye_distance: float, aside: float) -> float:
    """Where eyes and nose lie between frontal and profile; about 1 for every head.

    A head turned by an angle shows its eyes at the angle's cosine of their distance, and the nose
    to the side by its sine. Both in distances of eyes and mouth: 0.92 is the eyes' median on
    frontal faces, 0.5 how far a nose stands out.
    """
    return float(np.hypot(eye_distance / 0.92, aside / 0.5)) / 1.35
