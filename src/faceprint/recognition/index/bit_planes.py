"""Signs laid out by bit: what a probe compares is its choice, and 64 vectors are counted at once.

A plane holds one sign of every vector, a bit each. For a probe, those planes are taken whose signs
it is surest of, and the planes are added up as a row of counters, each spread over a few planes of
its own, by full adders: five operations on words turn three bits of one weight into one of that and
one of twice the weight (Harley and Seal's way of counting bits, turned upright).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.index.base import Keys
from faceprint.recognition.index.bits import WORD, Words
from faceprint.types import Array

__all__ = ["BitPlanes"]

_ROWS = 1 << 20
"""Vectors counted at a time: their planes take 3 MB."""
_TRANSPOSED = 1 << 13
"""Vectors whose signs are laid out anew at a time: their bits, as bytes, lie in a near cache."""
_SAMPLE = 1 << 14
_BYTE = 8
_NONE, _ALL = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)


class BitPlanes:
    """(bits, n) signs, 64 vectors in a word."""

    def __init__(self, bits: int, chosen: int) -> None:
        """`chosen`: planes that a probe is compared with."""
        self._words: Words = np.zeros((bits, 0), np.uint64)
        self._scratch = _Scratch(chosen)
        self._chosen = chosen

    @property
    def words(self) -> Words:
        """(bits, words) planes; bits behind the last vector are 0."""
        return self._words

    @property
    def nbytes(self) -> int:
        """Memory of the planes."""
        return self._words.nbytes

    def reserve(self, count: int) -> None:
        """Make room for that many vectors."""
        words = -(-count // WORD)
        if words > self._words.shape[1]:
            wider = np.zeros((len(self._words), words), np.uint64)
            wider[:, : self._words.shape[1]] = self._words
            self._words = wider

    def write(self, words: Words, start: int) -> None:
        """Lay out the signs of (n, bits / 64) `words` from the vector at `start` on.

        Room has been reserved.
        """
        held = self._words.view(np.uint8)
        for first in range(start - start % _BYTE, len(words), _TRANSPOSED):
            part = words[first : first + _TRANSPOSED]
            bits = np.ascontiguousarray(np.unpackbits(part.view(np.uint8), axis=1).T)
            packed = np.packbits(bits, axis=1, bitorder="little")
            held[:, first // _BYTE : first // _BYTE + packed.shape[1]] = packed

    def clear(self, start: int, stop: int) -> None:
        """Set the signs of these vectors to 0, but for those in the byte of one before them."""
        self._words.view(np.uint8)[:, -(-start // _BYTE) : -(-stop // _BYTE)] = 0

    def load(self, words: Words) -> None:
        """Take these planes over."""
        self._words = np.ascontiguousarray(words)

    def near(self, products: Array, count: int, share: float) -> Keys:
        """Of the first `count` vectors, those that differ least from a probe of these products.

        About that share of each `_ROWS` of them, or more, as many differ in the same number of
        signs. `products`: (bits,) of the probe with the directions.
        """
        chosen = np.argpartition(-np.abs(products), self._chosen - 1)[: self._chosen]
        flips = [(sign, _ALL if products[sign] > 0 else _NONE) for sign in chosen]
        found = []
        for start in range(0, count, _ROWS):
            rows = self._near_in(flips, start, min(_ROWS, count - start), share)
            rows += start
            found.append(rows)
        return np.concatenate(found)

    def _near_in(
        self, flips: Sequence[tuple[int, np.uint64]], start: int, count: int, share: float
    ) -> Keys:
        """The same in `count` vectors, counted from `start`, which is a multiple of 64."""
        columns = slice(start // WORD, -(-(start + count) // WORD))
        size = columns.stop - columns.start
        planes, spare = self._scratch.planes[:, :size], self._scratch.spare[:, :size]
        for plane, (sign, flip) in zip(planes, flips, strict=True):
            np.bitwise_xor(self._words[sign, columns], flip, out=plane)
        digits = _counted(planes, spare)
        limit = _limit(digits, count, share)
        while True:
            rows = _places(_at_most(digits, limit, spare[0]))
            rows = rows[: np.searchsorted(rows, count)]
            if len(rows) >= share * count / 2:
                return rows
            limit += 1  # the sample happened to hold the nearest


class _Scratch(threading.local):
    """Each thread's own planes to count in.

    Allocated for every search they would cost as much as the counting: the system hands out such
    sizes page by page, each filled with zeros.
    """

    def __init__(self, chosen: int) -> None:
        self.planes = np.empty((chosen, _ROWS // WORD), np.uint64)
        self.spare = np.empty((max(chosen // 3, 1), _ROWS // WORD), np.uint64)


def _counted(planes: Words, spare: Words) -> list[Words]:
    """The number of ones over (p, n) planes, as planes of binary digits, the lowest first.

    In the place of the planes; of `spare` a third as many are used.
    """
    digits = []
    while len(planes):
        base = 0
        left = len(planes)
        while left > 1:
            threes = left // 3
            if threes:
                a, b, c = planes[base : base + 3 * threes].reshape(3, threes, -1)
                either = np.bitwise_xor(a, b, out=spare[:threes])
                np.bitwise_and(a, b, out=a)
                np.bitwise_xor(either, c, out=b)
                a |= np.bitwise_and(either, c, out=either)
                rest = left - 3 * threes
                # Sums and what was left over lie side by side, behind all that is carried.
                planes[base + 2 * threes : base + 2 * threes + rest] = planes[
                    base + 3 * threes : base + left
                ]
                base, left = base + threes, threes + rest
            else:
                a, b = planes[base : base + 2]
                either = np.bitwise_xor(a, b, out=spare[0])
                np.bitwise_and(a, b, out=a)
                b[:] = either
                base, left = base + 1, 1
        digits.append(planes[base])
        planes = planes[:base]
    return digits


def _at_most(digits: Sequence[Words], limit: int, out: Words) -> Words:
    """Words whose bits are set where the counter is at most `limit`."""
    out[:] = _ALL
    for place, digit in enumerate(digits):
        if limit >> place & 1:
            np.bitwise_or(out, np.bitwise_not(digit), out=out)
        else:
            np.bitwise_and(out, np.bitwise_not(digit), out=out)
    return out


def _limit(digits: Sequence[Words], count: int, share: float) -> int:
    """The least limit that about that share of `count` counters keeps, by a sample."""
    step = max(1, count // _SAMPLE)
    sample = np.stack([digit[: max(1, count // WORD) : step] for digit in digits])
    bits = np.unpackbits(sample.view(np.uint8), axis=1)
    counts = np.zeros(bits.shape[1], np.uint8)
    for place, row in enumerate(bits):
        counts += row << np.uint8(place)
    return int(np.searchsorted(np.cumsum(np.bincount(counts)), share * len(counts)))


def _places(mask: Words) -> Keys:
    """The numbers of the bits that are set: byte after byte, the lowest bit first."""
    octets = mask.view(np.uint8)
    held = np.flatnonzero(octets != 0)
    found = np.flatnonzero(np.unpackbits(octets[held], bitorder="little"))
    places: NDArray[np.int64] = _BYTE * held[found // _BYTE] + found % _BYTE
    return places
