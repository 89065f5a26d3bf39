"""JPEGs decoded by OpenCV: the same pixels as Pillow's, in half the time.

OpenCV would allocate whatever a header claims, and returns gray for some truncated files. So the
header is checked first (`vision/headers`), and Pillow gets every file that lacks the end marker or
that OpenCV does not decode: its errors name the damage.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceprint.types import Image
from faceprint.vision.headers import Header

__all__ = ["decode", "rotate_upright", "without_metadata"]

_END, _TAIL = b"\xff\xd9", 32
"""The end marker, and how many bytes may follow it: cameras pad with zeros."""

_RGB = getattr(cv2, "IMREAD_COLOR_RGB", 0)
_SCALED = (
    0,
    cv2.IMREAD_REDUCED_GRAYSCALE_2,
    cv2.IMREAD_REDUCED_GRAYSCALE_4,
    cv2.IMREAD_REDUCED_GRAYSCALE_8,
)
"""OpenCV's flags for each halving; combined with a color flag they do not mean gray."""


def decode(data: bytes, header: Header, halvings: int) -> Image | None:
    """Pixels as stored, each side halved `halvings` times; None if Pillow must decode the file."""
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


def without_metadata(data: bytes, header: Header) -> bytes:
    """A JPEG file without its metadata, on which Pillow may spend quadratic time."""
    parts = [data[begin:end] for begin, end in header.needed]
    return b"".join([data[:2], *parts, data[header.start :]])


def rotate_upright(pixels: Image, orientation: int) -> Image:
    """Undo an EXIF orientation of 1 to 8 (CIPA DC-008, "Orientation")."""
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
