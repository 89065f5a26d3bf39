"""Alignment: transforms that move the landmarks of faces onto a template."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faceprint.geometry import similarity_transforms
from faceprint.types import Array, Detections, Image
from faceprint.vision.mipmaps import Mipmaps
from faceprint.zoo.card import Alignment

__all__ = ["align", "transforms_of"]


def align(
    image: Image | Mipmaps, landmarks: Array | None, boxes: Array, alignment: Alignment
) -> Image:
    """Cut the aligned crops of one image's faces.

    Args:
        landmarks: (n, 5, 2) pixels, or None to align by the boxes.
        boxes: (n, 4) xyxy pixels; used only without landmarks.

    Returns:
        (n, size, size, 3) uint8 RGB.

    Raises:
        DecodeError: a crop needs a finer scale, and the photograph can't be decoded again.
    """
    found = Detections(boxes, np.zeros(len(boxes), np.float32), landmarks)
    return Mipmaps.of(image).crops(transforms_of([found], alignment)[0], alignment.size)


def transforms_of(found: Sequence[Detections], alignment: Alignment) -> list[Array]:
    """For each image (n, 2, 3) transforms from its pixels to crop pixels, one per face."""
    ends = np.cumsum([len(detections) for detections in found])[:-1]
    if any(detections.landmarks is None for detections in found):
        boxes = np.concatenate([detections.boxes for detections in found])
        return np.split(_transforms_by_box(boxes, alignment), ends)
    landmarks = [points for detections in found if (points := detections.landmarks) is not None]
    weights = np.asarray(alignment.weights) if alignment.weights else None
    template = np.asarray(alignment.points)
    return np.split(similarity_transforms(np.concatenate(landmarks), template, weights), ends)


def _transforms_by_box(boxes: Array, alignment: Alignment) -> Array:
    """Upright transforms for faces without landmarks, from their boxes.

    The box's center goes to the crop's center, and its mean side becomes `size * 112 / (112 + 44)`:
    as in the `preprocess` of the 2018 article, which adds 44 pixels per 112 of crop to the box.

    Args:
        boxes: (n, 4) xyxy pixels.

    Returns:
        (n, 2, 3) float32.
    """
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3)
    scale = alignment.size * (112 / 156) / sides.mean(axis=1)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    transforms = np.zeros((len(boxes), 2, 3), np.float32)
    transforms[:, 0, 0] = transforms[:, 1, 1] = scale
    transforms[:, :, 2] = alignment.size / 2 - 0.5 - center * scale[:, None]
    return transforms
