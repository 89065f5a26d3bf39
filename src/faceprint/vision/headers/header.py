"""What a header tells of a photograph before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Header"]


@dataclass(frozen=True, slots=True)
class Header:
    """A photograph's size and what decoding it takes.

    Attributes:
        width, height: pixels, as stored.
        orientation: EXIF orientation 1..8; None where it is Pillow that reads the metadata.
        bytes_a_pixel: memory for each pixel that is made, at the most.
        fixed_bytes: memory whatever the scale that it is decoded at.
        components: color components of a JPEG that OpenCV may decode, 0 for other files.
        start: where a JPEG's first scan begins.
        needed: parts of a JPEG's header that its pixels depend on, as (begin, end).
    """

    width: int
    height: int
    orientation: int | None = None
    bytes_a_pixel: int = 10
    fixed_bytes: int = 0
    components: int = 0
    start: int = 0
    needed: tuple[tuple[int, int], ...] = ()
