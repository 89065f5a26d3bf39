"""TIFF 6.0 and BigTIFF: the first directory, read before Pillow copies all that it points to."""

from __future__ import annotations

import struct
from typing import NamedTuple

from faceprint.errors import DecodeError, ImageTooLargeError
from faceprint.vision.headers.header import Header

__all__ = ["SIGNATURES", "read_tiff"]

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_MAX_TAGS = 1000
_MAX_VALUES = 200_000
"""Values of one tag: a photograph has at most one strip per row."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_OPAQUE = frozenset({1, 2, 6, 7})
"""Types whose values Pillow keeps as bytes."""

_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 274, 322, 323
_BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT = 258, 262, 277, 339
_FLOAT = 3
_USED_TAGS = frozenset(
    {_WIDTH, _HEIGHT, _ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT}
    | {_BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT}
)
_COSTLY = 18
"""Bytes per pixel that represent the time of inks, CIELAB and transparency."""


class _Layout(NamedTuple):
    """Where the numbers of a TIFF or BigTIFF lie, and their types."""

    order: str
    first: int
    pointer: str
    entry: int
    length: str
    inline: int


def read_tiff(data: bytes) -> Header:
    """Read size, orientation and cost.

    Raises:
        DecodeError: more tags, or more values of a tag, than a photograph has; tags that share
            their values; or a truncated header.
        ImageTooLargeError: a tile is larger than any photograph.
    """
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] in (b"+\0", b"\0+"):
        layout = _Layout(order, 8, "Q", 20, "Q", 8)
    else:
        layout = _Layout(order, 4, "I", 12, "I", 4)
    try:
        numbers = _directory(data, layout)
    except struct.error as error:
        raise DecodeError("damaged or truncated: its directory ends too early") from error
    tile = numbers.get(_TILE_WIDTH, 1) * numbers.get(_TILE_HEIGHT, 1)
    width, height = numbers.get(_WIDTH, 0), numbers.get(_HEIGHT, 0)
    if tile > 16 * max(1 << 20, width * height):
        raise ImageTooLargeError(f"tiles of {tile:,} pixels")
    bits, kind = numbers.get(_BITS, 8), numbers.get(_FORMAT, 1)
    if kind == _FLOAT or bits > 16:
        what = "float" if kind == _FLOAT else "integer"
        raise DecodeError(
            f"{bits}-bit {what} pixels have no agreed range; scale them to 8 bits first"
        )
    turn = numbers.get(_ORIENTATION, 1)
    costly = numbers.get(_PHOTOMETRIC, 2) > 3 or numbers.get(_SAMPLES, 1) > 3
    turn = turn if 1 <= turn <= 8 else 1
    return Header(width, height, turn, bytes_per_pixel=_COSTLY if costly else 10)


def _directory(data: bytes, layout: _Layout) -> dict[int, int]:
    """The first value of each tag in `_USED_TAGS`."""
    order = layout.order
    (start,) = struct.unpack_from(order + layout.pointer, data, layout.first)
    kind = "Q" if layout.inline == 8 else "H"
    (tags,) = struct.unpack_from(order + kind, data, start)
    if tags > _MAX_TAGS:
        raise DecodeError(f"{tags:,} tags in its directory; {_MAX_TAGS:,} are read")
    held, numbers = 0, {}
    for at in range(tags):
        entry = start + struct.calcsize(order + kind) + at * layout.entry
        tag, type_, count = struct.unpack_from(f"{order}HH{layout.length}", data, entry)
        size = _SIZES.get(type_, 0) * count
        held += size if size > layout.inline else 0
        if held > len(data) or (type_ not in _OPAQUE and count > _MAX_VALUES):
            raise DecodeError(f"tag {tag} holds more than a photograph's does: {count:,} values")
        if type_ in _CODES and count:
            value = entry + layout.entry - layout.inline
            if size <= layout.inline and tag in _USED_TAGS:
                (numbers[tag],) = struct.unpack_from(order + _CODES[type_], data, value)
    return numbers
