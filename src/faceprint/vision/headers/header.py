"""What the header tells about a photograph before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Header"]


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
