"""BMP and WebP, whose headers have a fixed layout."""

from __future__ import annotations

import struct

from faceprint.errors import DecodeError
from faceprint.vision.headers.header import Header

__all__ = ["read_bmp", "read_webp"]

_WEBP_BYTES = 22
"""The canvas and the frame before it at four bytes each, the decoder's memory, and the copy."""

_RUN_LENGTH_BYTES = 400
"""Pillow unpacks runs in Python; this time is limited as if it were memory."""


def read_bmp(data: bytes) -> Header:
    """Read size and cost from a header of OS/2 or Windows.

    Raises:
        DecodeError: a truncated header.
    """
    try:
        (size,) = struct.unpack_from("<I", data, 14)
        if size == 12:
            return Header(*struct.unpack_from("<HH", data, 18))
        width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    except struct.error as error:
        raise DecodeError("damaged or truncated: its header ends too early") from error
    unpacked = _RUN_LENGTH_BYTES if compression in (1, 2) else 10
    return Header(width, abs(height), bytes_per_pixel=unpacked)


def read_webp(data: bytes) -> Header:
    """Read the canvas of a WebP file (RFC 9649, sections 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8X":
        sides = [int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27)]
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        sides = [(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1]
    else:
        sides = [int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28)]
    return Header(sides[0], sides[1], bytes_per_pixel=_WEBP_BYTES)
