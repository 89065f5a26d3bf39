"""Aligned crops as PNG: lossless, so they embed to the same vector."""

from __future__ import annotations

import io

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.types import Image, check_image

__all__ = ["decode_crop", "encode_crop"]

_LARGEST_SIDE = 1024
_LARGEST_FILE = 8 << 20


def encode_crop(crop: Image) -> bytes:
    """(H, W, 3) RGB uint8 to PNG."""
    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.fromarray(check_image(crop)).save(buffer, "PNG")
    return buffer.getvalue()


def decode_crop(data: bytes, where: str) -> Image:
    """PNG to (H, W, 3) RGB uint8.

    Raises:
        GalleryCorruptError: not a PNG of a crop's size; checked before decoding.
    """
    import PIL.Image

    if len(data) > _LARGEST_FILE:
        raise GalleryCorruptError(f"{where}: a crop of {len(data)} bytes")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if max(image.size) > _LARGEST_SIDE or image.mode != "RGB":
                raise GalleryCorruptError(f"{where}: a crop of {image.size}, {image.mode}")
            return np.asarray(image, np.uint8)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        if isinstance(error, GalleryCorruptError):
            raise
        raise GalleryCorruptError(f"{where}: a crop that is not a PNG ({error})") from error
