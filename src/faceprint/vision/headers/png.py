"""PNG (W3C, third edition): counts the chunks and reads the first one."""

from __future__ import annotations

import struct

from faceprint.errors import DecodeError
from faceprint.vision.headers.header import Header

__all__ = ["SIGNATURE", "read_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MAX_CHUNKS = 65_536
"""Chunks of pixels and metadata; Pillow takes five microseconds for each."""

_COSTLY = 15
"""Bytes per pixel that represent the time of transparency, 16 bits and interlacing."""


def read_png(data: bytes) -> Header:
    """Read size and cost.

    Raises:
        DecodeError: more chunks than a photograph has, or a truncated header.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise DecodeError("damaged or truncated: its header ends too early")
    width, height = struct.unpack_from(">II", data, 16)
    costly = data[24] == 16 or data[25] in (4, 6) or data[28]
    position = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data) or data[position + 4 : position + 8] == b"IEND":
            return Header(width, height, bytes_per_pixel=_COSTLY if costly else 10)
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise DecodeError(f"more than {_MAX_CHUNKS:,} chunks")
