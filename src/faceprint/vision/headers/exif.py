"""The orientation, the only EXIF field that pixels depend on."""

from __future__ import annotations

import struct

__all__ = ["orientation"]

_TAG = 0x0112
_CODES = {1: "B", 3: "H", 4: "I"}


def orientation(raw: bytes) -> int:
    """EXIF orientation 1..8 (CIPA DC-008); 1 when there is none or it is invalid.

    Pillow's parser warns or fails on damage elsewhere in the block, and falls back on XMP, which
    viewers don't.

    Args:
        raw: the EXIF block, with or without the `Exif` prefix that it has in a JPEG.
    """
    tiff = raw.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == _TAG:
                (value,) = struct.unpack_from(order + _CODES.get(kind, "H"), tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
