"""JPEG (ITU-T T.81, annex B): segments up to the first scan, and the number of scans."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from faceprint.errors import DecodeError
from faceprint.vision.headers.header import Header, orientation

__all__ = ["SIGNATURE", "read_jpeg"]

SIGNATURE = b"\xff\xd8\xff"

_MAX_SEGMENTS = 4096
"""Segments before the first scan: 256 MB of metadata, in segments of 64 KB."""

_MAX_SCANS = 500
_MAX_WORK = 2_500_000_000
"""Coefficients times scans: even an empty scan takes half a nanosecond per coefficient."""

_SOS, _EOI, _DHT, _JPG, _DAC = 0xDA, 0xD9, 0xC4, 0xC8, 0xCC
_APP0, _APP1, _APP14 = 0xE0, 0xE1, 0xEE
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE}) - {_APP0, _APP14}

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker inside a scan, except stuffed zero bytes, restarts and fillers."""


class _Segment(NamedTuple):
    marker: int
    begin: int
    payload: int
    end: int


def read_jpeg(data: bytes) -> Header:
    """Read size, orientation and cost.

    Raises:
        DecodeError: more segments or scans than a photograph has, or a truncated header.
    """
    frame: _Segment | None = None
    blocks: list[bytes] = []
    needed: list[tuple[int, int]] = []
    start = 0
    for count, segment in enumerate(_segments(data, len(SIGNATURE) - 1)):
        if count >= _MAX_SEGMENTS:
            raise DecodeError(f"more than {_MAX_SEGMENTS:,} segments before the picture")
        if segment.marker == _SOS:
            start = segment.begin
            break
        if segment.marker in _FRAMES:
            if frame is not None:
                raise DecodeError("damaged: two frame headers")
            frame = segment
        if segment.marker == _APP1 and data.startswith(b"Exif\0", segment.payload):
            blocks.append(data[segment.payload + 6 : segment.end])
        if segment.marker not in _METADATA:
            needed.append((segment.begin, segment.end))
    if frame is None or not start or frame.end - frame.payload < 6:
        raise DecodeError("damaged or truncated: its header ends too early")
    precision, height, width, components = struct.unpack_from(">BHHB", data, frame.payload)
    coefficients = _coefficients(data[frame.payload + 6 : frame.end], width, height)
    buffered = frame.marker in _PROGRESSIVE or _components(data, start) < components
    if buffered:
        _check_scans(data, start, coefficients)
    return Header(
        width,
        height,
        orientation(b"".join(blocks)),
        fixed_bytes=2 * coefficients if buffered else 0,
        bytes_per_pixel=6 if components in (1, 3) else 14,
        components=components if precision == 8 else 0,
        start=start,
        needed=tuple(needed),
    )


def _segments(data: bytes, position: int) -> Iterator[_Segment]:
    """Yield the segments from `position` on, skipping what lies between them as decoders do."""
    while (begin := data.find(b"\xff", position)) >= 0 and begin + 4 <= len(data):
        marker = data[begin + 1]
        if marker in (0x00, 0xFF) or marker in _WITHOUT_LENGTH:
            position = begin + (1 if marker == 0xFF else 2)
            continue
        if marker == _EOI:
            return
        length = int.from_bytes(data[begin + 2 : begin + 4], "big")
        position = begin + 2 + max(2, length)
        if position > len(data):
            return
        yield _Segment(marker, begin, begin + 4, position)


def _components(data: bytes, scan: int) -> int:
    """The number of components in a scan."""
    return data[scan + 4] if scan + 4 < len(data) else 0


def _coefficients(sampling: bytes, width: int, height: int) -> int:
    """Coefficients of all components by their sampling factors, in whole blocks of 8 x 8."""
    factors = [
        (sampling[at + 1] >> 4, sampling[at + 1] & 15) for at in range(0, len(sampling) - 2, 3)
    ]
    across = max((factor for factor, _ in factors), default=1) or 1
    down = max((factor for _, factor in factors), default=1) or 1
    return sum(
        64 * -(-width * h // (8 * across)) * -(-height * v // (8 * down)) for h, v in factors
    )


def _check_scans(data: bytes, start: int, coefficients: int) -> None:
    scans = 0
    position: int | None = start
    while position is not None and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == _EOI:
            return
        scans += marker == _SOS
        if scans > _MAX_SCANS or scans * coefficients > _MAX_WORK:
            raise DecodeError(f"{scans} scans of {coefficients:,} coefficients or more; too many")
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        found = _MARKER.search(
            data, position + (2 if marker in _WITHOUT_LENGTH else 2 + max(2, length))
        )
        position = None if found is None else found.start()
