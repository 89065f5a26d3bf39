"""PNG (W3C, third edition): its chunks are counted, and the first one is read."""

from __future__ import annotations

import struct

from faceprint.errors import DecodeError
from faceprint.vision.headers.header import Header

__all__ = ["SIGNATURE", "read_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MOST_CHUNKS = 65_536
"""Of pixels and of metadata: Pillow takes five microseconds for each."""


_DEAR = 15
"""Bytes a pixel that stand for the time that transparency, 16 bits and interlacing take."""


def read_png(data: bytes) -> Header:
    """Size and cost.

    Raises:
        DecodeError: more chunks than a photograph has, or a header that ends too early.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise DecodeError("damaged or truncated: its header ends too early")
    width, height = struct.unpack_from(">II", data, 16)
    dear = data[24] == 16 or data[25] in (4, 6) or data[28]
    position = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(data) or data[position + 4 : position + 8] == b"IEND":
            return Header(width, height, bytes_a_pixel=_DEAR if dear else 10)
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise DecodeError(f"more than {_MOST_CHUNKS:,} chunks")
