"""Where dlib's boxes and landmarks lie relative to MTCNN's landmarks.

Measured on 343 faces of LFW and FaceScrub: dlib's frontal detector and its five-point predictor
beside MTCNN's points, both moved to the embedder's crop of 150 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from faceprint.compat.face_recognition.shapes import Box, Landmarks, Point
from faceprint.errors import UsageError
from faceprint.geometry import similarity_transforms
from faceprint.types import Array
from faceprint.zoo.card import Alignment

__all__ = ["check_box", "corners", "dlib_box", "dlib_landmarks", "landmarks_of_box"]

_BOX_CENTER, _BOX_SIDE = (70.0, 71.3), 134.0
"""The box of dlib's frontal detector in the crop, in pixels. It lies left of the middle: dlib's
boxes do."""

_OUTER, _INNER, _NOSE = (0.165, 0.030), (0.212, 0.041), 0.167
"""The corners of the eyes (outwards or inwards, and down) from the middle of each eye, and the
point below the nose from its tip (down), in distances between the eyes."""


def dlib_box(landmarks: Array, alignment: Alignment) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the square that dlib's detector would give a face.

    Args:
        landmarks: (5, 2) pixels.
    """
    a, b, shift_x, shift_y = _inverse(landmarks, alignment)
    x = a * _BOX_CENTER[0] - b * _BOX_CENTER[1] + shift_x
    y = b * _BOX_CENTER[0] + a * _BOX_CENTER[1] + shift_y
    half = _BOX_SIDE * math.hypot(a, b) / 2
    return x - half, y - half, x + half, y + half


def landmarks_of_box(box: Box, alignment: Alignment) -> Array:
    """(5, 2) mean landmarks of an upright face with that box."""
    left, top, right, bottom = corners(box)
    scale = (right - left + bottom - top) / 2 / _BOX_SIDE
    center = np.asarray(((left + right) / 2, (top + bottom) / 2))
    moved = (np.asarray(alignment.points) - np.asarray(_BOX_CENTER)) * scale + center
    return np.asarray(moved, np.float32)


def dlib_landmarks(landmarks: Array) -> Landmarks:
    """dlib's five landmarks from MTCNN's: two corners per eye and the point below the nose."""
    left, right, nose = (np.asarray(point, np.float64) for point in landmarks[:3])
    across = right - left
    down = np.asarray((-across[1], across[0]))
    points = (
        right + _OUTER[0] * across + _OUTER[1] * down,
        right - _INNER[0] * across + _INNER[1] * down,
        left - _OUTER[0] * across + _OUTER[1] * down,
        left + _INNER[0] * across + _INNER[1] * down,
        nose + _NOSE * down,
    )
    return Landmarks(tuple(Point(round(float(x)), round(float(y))) for x, y in points))


def corners(box: Box) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a (top, right, bottom, left) box."""
    top, right, bottom, left = box
    return left, top, right, bottom


def check_box(box: Sequence[int]) -> Box:
    """The box as four whole numbers.

    Raises:
        UsageError: not (top, right, bottom, left) with top < bottom and left < right.
    """
    try:
        top, right, bottom, left = (int(edge) for edge in box)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{box!r} is not a box (top, right, bottom, left)") from error
    if top >= bottom or left >= right:
        raise UsageError(f"{box!r} is not a box (top, right, bottom, left): it has no area")
    return top, right, bottom, left


def _inverse(landmarks: Array, alignment: Alignment) -> tuple[float, float, float, float]:
    """The transform from the crop to the image: x' = a x - b y + shift_x, y' = b x + a y + ..."""
    matrix = similarity_transforms(np.asarray(alignment.points)[None], landmarks)[0]
    return float(matrix[0, 0]), float(matrix[1, 0]), float(matrix[0, 2]), float(matrix[1, 2])
