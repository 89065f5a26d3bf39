"""What a header tells about a photograph: size, orientation, and the cost of decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["Header", "orientation"]

_ORIENTATION = 0x0112
_CODES = {1: "B", 3: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class Header:
    """A photograph's size, and the cost of decoding it.

    Attributes:
        width, height: pixels, as stored.
        orientation: EXIF orientation 1..8; None if Pillow reads the metadata.
        bytes_per_pixel: most memory for each decoded pixel.
        fixed_bytes: memory that does not depend on the scale of decoding.
        components: color components of a JPEG that OpenCV may decode, 0 for other files.
        start: where a JPEG's first scan begins.
        needed: parts of a JPEG's header that its pixels depend on, as (begin, end).
    """

    width: int
    height: int
    orientation: int | None = None
    bytes_per_pixel: int = 10
    fixed_bytes: int = 0
    components: int = 0
    start: int = 0
    needed: tuple[tuple[int, int], ...] = ()


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
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + _CODES.get(kind, "H"), tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
