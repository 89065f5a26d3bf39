"""Alignment: faces turned upright and scaled so that their landmarks meet a template."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faceprint.geometry import similarity_transforms
from faceprint.types import Array, Detections, Image
from faceprint.vision.mipmaps import Mipmaps
from faceprint.zoo.card import Alignment

__all__ = ["align", "alignment_transforms", "box_alignment_transforms", "transforms_of"]


def alignment_transforms(landmarks: Array, alignment: Alignment) -> Array:
    """(n, 5, 2) landmarks in image pixels to (n, 2, 3) transforms to crop pixels."""
    weights = np.asarray(alignment.weights) if alignment.weights else None
    return similarity_transforms(landmarks, np.asarray(alignment.points), weights)


def box_alignment_transforms(boxes: Array, alignment: Alignment) -> Array:
    """Transforms for faces without landmarks: the box alone decides, upright.

    As the 2018 article's `preprocess` does without landmarks: the box grown by 44 pixels per 112
    of crop, in its own proportions to the crop, is scaled to the crop. Here the box's center goes
    to the crop's center and its mean side to `size * 112 / (112 + 44)`.

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


def align(
    image: Image | Mipmaps, landmarks: Array | None, boxes: Array, alignment: Alignment
) -> Image:
    """Cut the aligned crops of one image's faces.

    Args:
        landmarks: (n, 5, 2) pixels, or None to align from the boxes.
        boxes: (n, 4) xyxy pixels; read only when there are no landmarks.

    Returns:
        (n, size, size, 3) uint8 RGB.

    Raises:
        DecodeError: a crop is worth more than the reduced scale that the photograph is here at, and
            it can't be decoded anew.
    """
    found = Detections(boxes, np.zeros(len(boxes), np.float32), landmarks)
    return Mipmaps.of(image).crops(transforms_of([found], alignment)[0], alignment.size)


def transforms_of(found: Sequence[Detections], alignment: Alignment) -> list[Array]:
    """For each image (n, 2, 3) transforms from its pixels to crop pixels, one a face."""
    counts = np.cumsum([len(detections) for detections in found])[:-1]
    if any(detections.landmarks is None for detections in found):
        boxes = np.concatenate([detections.boxes for detections in found])
        return np.split(box_alignment_transforms(boxes, alignment), counts)
    landmarks = [points for detections in found if (points := detections.landmarks) is not None]
    return np.split(alignment_transforms(np.concatenate(landmarks), alignment), counts)
