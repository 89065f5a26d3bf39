"""Mutators that know the segments, chunks, directories and headers of photographs."""

from __future__ import annotations

import struct
import zlib
from random import Random

from mutations import LIES, Mutator, put

__all__ = ["PICTURES"]

_Parts = list[tuple[int, int]]


def _lie(rng: Random, bits: int) -> int:
    return (rng.choice(LIES) if rng.random() < 0.7 else rng.getrandbits(bits)) & ((1 << bits) - 1)


def _rearranged(data: bytes, parts: _Parts, rng: Random) -> bytes:
    """A part of a file left out, doubled, repeated often, or moved behind another."""
    if not parts:
        return data
    begin, end = rng.choice(parts)
    what = rng.randrange(4)
    if what == 0:
        return data[:begin] + data[end:]
    if what == 1:
        return data[:end] + data[begin:end] + data[end:]
    if what == 2:
        times = min(rng.choice((3, 100, 5000)), (1 << 21) // max(1, end - begin))
        return data[:begin] + data[begin:end] * times + data[end:]
    at = rng.choice(parts)[1]
    return data[:at] + data[begin:end] + data[at:]


# --- JPEG ----------------------------------------------------------------------------------------


def _segments(data: bytes) -> _Parts:
    parts, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xD9, 0):
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        parts.append((at, min(end, len(data))))
        if data[at + 1] == 0xDA:
            found = data.find(b"\xff\xd9", end)
            position = end
            while position < (len(data) if found < 0 else found):
                position = data.find(b"\xff", position)
                if position < 0 or data[position + 1 : position + 2] not in (b"\0", b"\xff"):
                    break
                position += 2
            if position < 0:
                break
            end = position
        at = end
    return parts


def jpeg_segments(data: bytes, rng: Random) -> bytes:
    """Segments left out, doubled, repeated, moved."""
    return _rearranged(data, _segments(data), rng)


def jpeg_length(data: bytes, rng: Random) -> bytes:
    """A segment that is longer or shorter than it says."""
    parts = _segments(data)
    return put(data, rng.choice(parts)[0] + 2, struct.pack(">H", _lie(rng, 16))) if parts else data


def jpeg_inside(data: bytes, rng: Random) -> bytes:
    """Some bytes of a segment before the pixels: tables, frame, scan, EXIF."""
    parts = [part for part in _segments(data) if part[1] - part[0] > 4]
    if not parts:
        return data
    begin, end = rng.choice(parts)
    for _ in range(rng.choice((1, 1, 2, 5))):
        data = put(data, rng.randrange(begin + 4, end), bytes([_lie(rng, 8)]))
    return data


def jpeg_marker(data: bytes, rng: Random) -> bytes:
    """A segment that calls itself another: baseline progressive, arithmetic, lossless."""
    parts = _segments(data)
    return put(data, rng.choice(parts)[0] + 1, bytes([rng.randrange(0xC0, 256)])) if parts else data


def jpeg_size(data: bytes, rng: Random) -> bytes:
    """Height, width, precision, components, sampling of the frame."""
    for begin, _ in _segments(data):
        if data[begin + 1] in (0xC0, 0xC1, 0xC2):
            if rng.random() < 0.5:
                return put(data, begin + 5, struct.pack(">HH", _lie(rng, 16), _lie(rng, 16)))
            return put(data, begin + rng.choice((4, 9, 11, 14, 17)), bytes([_lie(rng, 8)]))
    return data


def jpeg_exif(data: bytes, rng: Random) -> bytes:
    """Another EXIF block in front: of a directory whose entries lie."""
    tiff = tiff_made(rng)
    body = b"Exif\0\0" + tiff[:65000]
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return data[:2] + segment * rng.choice((1, 1, 2, 20)) + data[2:]


def jpeg_scans(data: bytes, rng: Random) -> bytes:
    """Many scans, or restarts, where there was one."""
    parts = [part for part in _segments(data) if data[part[0] + 1] == 0xDA]
    if not parts:
        return data
    begin, end = rng.choice(parts)
    scan = data[begin:end] + (data[end : end + 40] if rng.random() < 0.5 else b"")
    return data[:begin] + scan * rng.choice((2, 10, 200, 2000)) + data[begin:]


# --- PNG -----------------------------------------------------------------------------------------


def _chunks(data: bytes) -> _Parts:
    parts, at = [], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        parts.append((at, min(end, len(data))))
        at = end
    return parts


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_chunks(data: bytes, rng: Random) -> bytes:
    """Chunks left out, doubled, repeated, moved."""
    return _rearranged(data, _chunks(data), rng)


def png_length(data: bytes, rng: Random) -> bytes:
    """A chunk that is longer or shorter than it says."""
    parts = _chunks(data)
    return put(data, rng.choice(parts)[0], struct.pack(">I", _lie(rng, 32))) if parts else data


def png_inside(data: bytes, rng: Random) -> bytes:
    """Bytes of a chunk, whose checksum is made right: damage that a reader believes."""
    parts = [part for part in _chunks(data) if part[1] - part[0] > 12]
    if not parts:
        return data
    begin, end = rng.choice(parts)
    body = bytearray(data[begin + 8 : end - 4])
    for _ in range(rng.choice((1, 1, 2, 5))):
        body[rng.randrange(min(len(body), 64))] = _lie(rng, 8)
    return data[:begin] + _chunk(data[begin + 4 : begin + 8], bytes(body)) + data[end:]


def png_added(data: bytes, rng: Random) -> bytes:
    """A chunk of text, profile, EXIF, palette, transparency or animation that unfolds or lies."""
    kind = rng.choice(
        (b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"PLTE", b"tRNS", b"acTL", b"fcTL")
    )
    packed = zlib.compress(bytes(rng.choice((10, 1000, 20_000_000))))
    body = rng.choice(
        (
            b"name\0\0" + packed,
            b"name\0\1\0\0\0" + packed,
            b"Raw profile type exif\0\nexif\n  4\n" + rng.randbytes(8).hex().encode(),
            b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 9\nzz\n\n"),
            tiff_made(rng),
            rng.randbytes(rng.choice((0, 3, 7, 26, 768, 4000))),
        )
    )
    parts = _chunks(data)
    at = rng.choice(parts)[1] if parts else len(data)
    return (
        data[:at]
        + _chunk(kind, body) * rng.choice((1, 1, 3, 500 if len(body) < 999 else 3))
        + data[at:]
    )


def png_header(data: bytes, rng: Random) -> bytes:
    """Size, depth, color type, interlacing; the checksum is right."""
    body = bytearray(data[16:29])
    if len(body) < 13:
        return data
    if rng.random() < 0.4:
        struct.pack_into(">I", body, rng.choice((0, 4)), _lie(rng, rng.choice((8, 16, 32))))
    else:
        body[rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return data[:8] + _chunk(b"IHDR", bytes(body)) + data[33:]


# --- TIFF, also inside EXIF ----------------------------------------------------------------------


def tiff_made(rng: Random) -> bytes:
    """A directory of entries with odd types, counts and offsets, which may lead back to itself."""
    order = rng.choice("<>")
    count = rng.choice((0, 1, 3, 20, 300))
    entries = b"".join(
        struct.pack(
            order + "HHII",
            rng.choice(
                (0x112, 0x100, 0x101, 0x8769, 0x8825, 0x11A, 0x11B, 0x201, rng.getrandbits(16))
            ),
            rng.choice((0, 1, 2, 3, 4, 5, 7, 10, 12, 13, 99)),
            rng.choice((0, 1, 1, 2, 8, _lie(rng, 32))),
            rng.choice((0, 6, 8, 8, rng.randrange(400), _lie(rng, 32))),
        )
        for _ in range(count)
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        order + "I", rng.choice((8, 8, 8, 0, 99))
    )
    claimed = rng.choice((count, count, count, _lie(rng, 16)))
    return (
        head
        + struct.pack(order + "H", claimed)
        + entries
        + struct.pack(order + "I", rng.choice((0, 8)))
    )


def tiff_entry(data: bytes, rng: Random) -> bytes:
    """Tag, type, count or value of an entry of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 16:
        return data
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        return data
    (count,) = struct.unpack_from(order + "H", data, start)
    entry = start + 2 + 12 * rng.randrange(max(1, min(count, 40)))
    for _ in range(rng.choice((1, 1, 2))):
        field = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
        value = _lie(rng, 16 if field[1] == "H" else 32)
        if field[0] == 2:
            value = rng.randrange(20)
        data = put(data, entry + field[0], struct.pack(order + field[1], value))
    return data


def tiff_loop(data: bytes, rng: Random) -> bytes:
    """The next directory is this one, or the first one lies elsewhere."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 16:
        return data
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data) or rng.random() < 0.3:
        return put(data, 4, struct.pack(order + "I", rng.randrange(len(data))))
    (count,) = struct.unpack_from(order + "H", data, start)
    return put(data, start + 2 + 12 * count, struct.pack(order + "I", start))


# --- WebP and BMP --------------------------------------------------------------------------------


def _riff(data: bytes) -> _Parts:
    parts, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        parts.append((at, min(end, len(data))))
        at = end
    return parts


def webp_chunks(data: bytes, rng: Random) -> bytes:
    """Chunks left out, doubled, repeated, moved; the whole length made right half the time."""
    data = _rearranged(data, _riff(data), rng)
    return put(data, 4, struct.pack("<I", len(data) - 8)) if rng.random() < 0.5 else data


def webp_canvas(data: bytes, rng: Random) -> bytes:
    """An extended header in front, or other sides in the one that is there."""
    flags, sides = rng.randrange(256), struct.pack("<II", _lie(rng, 24), _lie(rng, 24))
    body = bytes([flags, 0, 0, 0]) + sides[:3] + sides[4:7]
    if data[12:16] == b"VP8X":
        return put(data, 20, body)
    data = data[:12] + b"VP8X" + struct.pack("<I", 10) + body + data[12:]
    return put(data, 4, struct.pack("<I", len(data) - 8))


def webp_inside(data: bytes, rng: Random) -> bytes:
    """Some of the first bytes of a chunk: frame header, sides, length."""
    parts = _riff(data)
    if not parts:
        return data
    at = rng.choice(parts)[0] + rng.randrange(4, 24)
    return put(data, at, bytes([_lie(rng, 8)]))


def bmp_header(data: bytes, rng: Random) -> bytes:
    """A number of the header: size, sides, depth, compression, colors."""
    at, code = rng.choice(
        (
            (2, "I"),
            (10, "I"),
            (14, "I"),
            (18, "I"),
            (22, "I"),
            (26, "H"),
            (28, "H"),
            (30, "I"),
            (46, "I"),
        )
    )
    value = rng.choice((1, 2, 3, 4, 8, 16, 24, 32, 300, _lie(rng, 32)))
    if at in (18, 22) and rng.random() < 0.5:
        value = -value
    bits = 16 if code == "H" else 32
    return put(data, at, struct.pack("<" + code, value & ((1 << bits) - 1)))


def bmp_runs(data: bytes, rng: Random) -> bytes:
    """Run-length pixels of jumps, ends and runs."""
    sides = struct.pack("<ii", rng.choice((16, 100, 4000)), rng.choice((16, -16, 100, 4000)))
    head = put(put(data[:54], 18, sides), 28, struct.pack("<HI", 8, rng.choice((1, 2))))
    moves = (b"\0\0", b"\0\2\xff\xff", b"\0\2\1\1", b"\xff\1", b"\0\xff", b"\1\1", b"\0\1")
    return head + bytes(1024) + b"".join(rng.choice(moves) for _ in range(rng.choice((10, 5000))))


PICTURES: dict[str, tuple[Mutator, ...]] = {
    "jpeg": (
        jpeg_segments,
        jpeg_length,
        jpeg_inside,
        jpeg_marker,
        jpeg_size,
        jpeg_exif,
        jpeg_scans,
    ),
    "png": (png_chunks, png_length, png_inside, png_added, png_header),
    "tiff": (tiff_entry, tiff_entry, tiff_loop),
    "webp": (webp_chunks, webp_canvas, webp_inside),
    "bmp": (bmp_header, bmp_header, bmp_runs),
}
"""By the name of the format."""
