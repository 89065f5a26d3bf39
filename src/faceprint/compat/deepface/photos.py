"""Photographs in the forms that deepface takes them in."""

from __future__ import annotations

import base64
import binascii
import os
from typing import cast

import numpy as np

from faceprint.compat.bgr import bgr_to_rgb
from faceprint.errors import DecodeError, UsageError
from faceprint.types import Image
from faceprint.vision.images import decode

__all__ = ["batch_of", "is_batch", "load_photo"]


def is_batch(photos: object) -> bool:
    """Whether these are several photographs: a list, or an array (n, H, W, 3)."""
    return isinstance(photos, list) or (isinstance(photos, np.ndarray) and photos.ndim == 4)


def batch_of(photos: object) -> list[object]:
    """The photographs of a batch."""
    return list(cast("list[object]", photos))


def load_photo(photo: object) -> tuple[Image, str]:
    """A photograph as RGB uint8, and its name for messages.

    Args:
        photo: a path, an open binary file, base64 text that begins with `data:image/`, or a BGR
            array; float arrays run from 0 to 1, or to 255 if they hold more than 1.

    Raises:
        SourceNotFoundError, DecodeError: no such file, or no photograph.
        InvalidImageArrayError: an array of another shape.
        UsageError: an address on the web, or something else.
    """
    if isinstance(photo, np.ndarray):
        return bgr_to_rgb(_as_bytes(photo)), "the array"
    if hasattr(photo, "read"):
        content = photo.read()
        if not isinstance(content, bytes):
            raise UsageError("open the photograph in binary mode")
        return decode(content), "the open file"
    if isinstance(photo, str) and photo.startswith("data:image/"):
        return decode(_from_base64(photo)), "the base64 text"
    if isinstance(photo, str) and photo.lower().startswith(("http://", "https://")):
        raise UsageError("photographs are not fetched from the web: download it and pass its path")
    if isinstance(photo, str | os.PathLike):
        return decode(cast("str", photo)), os.fspath(cast("str", photo))
    raise UsageError(f"a photograph is a path, an array or base64 text, not {type(photo).__name__}")


def _as_bytes(pixels: np.ndarray) -> np.ndarray:
    if not np.issubdtype(pixels.dtype, np.floating) or not np.isfinite(pixels).all():
        return pixels
    scale = 255 if pixels.size and pixels.max() <= 1 else 1
    return np.asarray(np.clip(pixels * scale, 0, 255).round(), np.uint8)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise DecodeError(f"the text after `data:image/` is not base64 ({error})") from error
