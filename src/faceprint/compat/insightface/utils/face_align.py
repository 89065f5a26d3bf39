"""Aligned crops by insightface's rule: five landmarks onto the template, bilinear, black outside.

faceprint's own crops are read from halved copies of the photograph, without aliasing.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.geometry import similarity_transforms
from faceprint.types import Array, Image
from faceprint.zoo.card_io import TEMPLATES

__all__ = ["arcface_dst", "estimate_norm", "norm_crop", "norm_crop2"]

arcface_dst: Array = np.asarray(TEMPLATES["arcface-112"][1], np.float32)
"""(5, 2) landmarks in a crop of 112 pixels."""


def estimate_norm(lmk: ArrayLike, image_size: int = 112, mode: str = "arcface") -> NDArray[Any]:
    """The (2, 3) transform that moves five landmarks onto the template.

    Args:
        lmk: (5, 2) pixels.
        image_size: side of the crop: a multiple of 112, or of 128 for a wider one.

    Raises:
        UsageError: other landmarks, size or mode.
    """
    points = np.asarray(lmk, np.float32)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise UsageError(f"landmarks of shape {points.shape} are not five finite points (5, 2)")
    if image_size < 1 or (image_size % 112 and image_size % 128):
        raise UsageError(f"image_size is {image_size}, not a multiple of 112 or 128")
    if mode != "arcface":
        raise UsageError(f"mode is {mode!r}, not 'arcface'")
    wide = image_size % 112 != 0
    ratio = image_size / (128 if wide else 112)
    template = arcface_dst * ratio + np.asarray((8 * ratio if wide else 0, 0), np.float32)
    return np.asarray(similarity_transforms(points[None], template)[0])


def norm_crop(
    img: Image, landmark: ArrayLike, image_size: int = 112, mode: str = "arcface"
) -> Image:
    """(image_size, image_size, 3) crop of a face, in the image's order of channels.

    Raises:
        UsageError: see `estimate_norm`.
    """
    return norm_crop2(img, landmark, image_size, mode)[0]


def norm_crop2(
    img: Image, landmark: ArrayLike, image_size: int = 112, mode: str = "arcface"
) -> tuple[Image, NDArray[Any]]:
    """The crop of `norm_crop`, and its transform."""
    matrix = estimate_norm(landmark, image_size, mode)
    crop = cv2.warpAffine(img, matrix, (image_size, image_size), borderValue=0.0)
    return np.asarray(crop, np.uint8), matrix
