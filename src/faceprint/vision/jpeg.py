"""JPEGs whose header has been judged, decoded by OpenCV: Pillow's pixels in half the time.

OpenCV alone would allocate what a header claims, and answers some truncated files with gray. So the
header is read before (`vision/headers`), a file that does not end as a JPEG must is left to Pillow,
and so is whatever OpenCV will not decode: Pillow has the words for what is wrong.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceprint.types import Image
from faceprint.vision.headers import Header

__all__ = ["decode", "lean", "turned"]

_END, _TAIL = b"\xff\xd9", 32
"""The marker that ends a picture, and how many bytes may follow: cameras pad with zeros."""

_RGB = getattr(cv2, "IMREAD_COLOR_RGB", 0)
_SCALED = (
    0,
    cv2.IMREAD_REDUCED_GRAYSCALE_2,
    cv2.IMREAD_REDUCED_GRAYSCALE_4,
    cv2.IMREAD_REDUCED_GRAYSCALE_8,
)
"""Flags of the scales; without a flag for the colors beside them they would mean gray."""


def decode(data: bytes, header: Header, halvings: int) -> Image | None:
    """The pixels as stored, each side halved that often, or None where Pillow had better try.

    Args:
        data: the whole file.
        header: the file's.
    """
    if header.components not in (1, 3) or _END not in data[-_TAIL:]:
        return None
    flags = _SCALED[halvings] | (_RGB or cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    width, height = (-(-side // 2**halvings) for side in (header.width, header.height))
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if pixels is None or pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
        return None
    return np.asarray(pixels if _RGB else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def lean(data: bytes, header: Header) -> bytes:
    """The file without its metadata, on which Pillow may spend quadratic time."""
    parts = [data[begin:end] for begin, end in header.needed]
    return b"".join([data[:2], *parts, data[header.start :]])


def turned(pixels: Image, orientation: int) -> Image:
    """Upright, from an EXIF orientation of 1 to 8 (CIPA DC-008, "Orientation")."""
    match orientation:
        case 2:
            upright = cv2.flip(pixels, 1)
        case 3:
            upright = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            upright = cv2.flip(pixels, 0)
        case 5:
            upright = cv2.transpose(pixels)
        case 6:
            upright = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            upright = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            upright = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return np.asarray(upright, np.uint8)
