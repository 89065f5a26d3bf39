"""Damage to well-formed files, drawn from a seed: the same generator gives the same bytes again.

Here are the mutators that know nothing of a format; those of `mutations_pictures` and
`mutations_data` know where its lengths, types and offsets lie. `mutate` mixes the two kinds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

__all__ = ["LIES", "Mutator", "generic", "mutate", "put"]

Mutator = Callable[[bytes, Random], bytes]
"""Takes a file and gives a damaged one; the generator decides everything."""

LIES = (0, 1, 2, 3, 7, 8, 255, 256, 4095, 4096, 32767, 32768, 65535, 65536, 0x7FFFFFFF, 0x80000000)
LIES += (0xFFFFFFFE, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
"""Numbers at which a width ends, a sign turns or a product overflows."""

_LARGEST = 4 << 20
"""Bytes of a mutated file at the most, so that a run is not spent on copying."""


def mutate(
    data: bytes, rng: Random, structural: Sequence[Mutator] = (), others: Sequence[bytes] = ()
) -> tuple[bytes, tuple[str, ...]]:
    """One to four mutations of a file, and their names.

    Args:
        structural: mutators that know the format.
        others: files to splice with.
    """
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        if structural and rng.random() < 0.6:
            step: Mutator = rng.choice(structural)
            data = step(data, rng)[:_LARGEST]
            names.append(step.__name__)
        elif others and rng.random() < 0.15:
            data = _splice(data, rng.choice(others), rng)[:_LARGEST]
            names.append("splice")
        else:
            step = rng.choice(generic)
            data = step(data, rng)[:_LARGEST]
            names.append(step.__name__)
    return data, tuple(names)


def put(data: bytes, at: int, new: bytes) -> bytes:
    """The same file with other bytes from `at` on; its length stays."""
    new = new[: max(0, len(data) - at)]
    return data[:at] + new + data[at + len(new) :]


def place(data: bytes, rng: Random) -> int:
    """Somewhere in a file, in its first 256 bytes half the time: that is where the headers are."""
    within = min(len(data), 256) if rng.random() < 0.5 else len(data)
    return rng.randrange(within) if within else 0


def flip_bits(data: bytes, rng: Random) -> bytes:
    """Between one and sixteen bits."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if changed:
            changed[place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def run_of_one_byte(data: bytes, rng: Random) -> bytes:
    """A run of zeros, of ones, or of another byte."""
    length = rng.choice((1, 2, 4, 8, 64, 1024))
    return put(data, place(data, rng), bytes([rng.choice((0, 255, rng.randrange(256)))]) * length)


def noise(data: bytes, rng: Random) -> bytes:
    """A run of random bytes."""
    return put(data, place(data, rng), rng.randbytes(rng.choice((1, 2, 4, 16, 256))))


def truncate(data: bytes, rng: Random) -> bytes:
    """The beginning alone."""
    return data[: place(data, rng)]


def cut(data: bytes, rng: Random) -> bytes:
    """A part in the middle is missing."""
    at = place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 512, 4096)) :]


def double(data: bytes, rng: Random) -> bytes:
    """A part stands there twice, or many times."""
    at, length = place(data, rng), rng.choice((1, 4, 16, 256, 4096))
    return data[:at] + data[at : at + length] * rng.choice((2, 2, 3, 50)) + data[at + length :]


def insert(data: bytes, rng: Random) -> bytes:
    """A part of the file, or noise, in a place where it does not belong."""
    at, other = place(data, rng), place(data, rng)
    length = rng.choice((1, 2, 4, 16, 256))
    new = data[other : other + length] if rng.random() < 0.5 else rng.randbytes(length)
    return data[:at] + new + data[at:]


def swap(data: bytes, rng: Random) -> bytes:
    """Two parts have changed places."""
    first, second = sorted((place(data, rng), place(data, rng)))
    length = min(rng.choice((1, 4, 16, 256)), second - first)
    a, b = data[first : first + length], data[second : second + length]
    return put(put(data, first, b), second, a)


def lie(data: bytes, rng: Random) -> bytes:
    """A number of one to eight bytes, little- or big-endian, that may be a length or an offset."""
    code = rng.choice("BHIQ")
    value = rng.choice((*LIES, len(data), len(data) - 1, len(data) + 1, rng.getrandbits(64)))
    size = struct.calcsize("<" + code)
    value &= (1 << 8 * size) - 1
    return put(data, place(data, rng), struct.pack(rng.choice("<>") + code, value))


def append(data: bytes, rng: Random) -> bytes:
    """The file, and more behind it: zeros, noise, or the file again."""
    length = rng.choice((1, 100, 10_000))
    return data + rng.choice((bytes(length), rng.randbytes(length), data))


def _splice(data: bytes, other: bytes, rng: Random) -> bytes:
    """The beginning of one file and the end of another, or one inside the other."""
    at, there = place(data, rng), place(other, rng)
    if rng.random() < 0.5:
        return data[:at] + other[there:]
    return data[:at] + other + data[at:]


generic: tuple[Mutator, ...] = (
    flip_bits,
    flip_bits,
    run_of_one_byte,
    noise,
    truncate,
    cut,
    double,
    insert,
    swap,
    lie,
    lie,
    append,
)
