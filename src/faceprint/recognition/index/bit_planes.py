"""Sign bits stored as planes: each probe chooses its planes, and 64 vectors are counted at once.

A plane has one bit of every vector. A probe chooses the planes with its largest products. These
planes are added up to one counter per vector, whose binary digits are planes again, by full adders:
five operations on words turn three bits of one weight into one bit of that weight and one of twice
the weight (Harley and Seal's bit count, applied across vectors).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.index.base import Keys
from faceprint.types import Array

__all__ = ["WORD", "BitPlanes", "Words", "count_differing", "draw_directions", "pack_signs"]

WORD = 64
"""Bits per word."""

Words = NDArray[np.uint64]

_ROWS = 1 << 20
"""Vectors counted at once: their planes take 3 MB."""
_TRANSPOSED = 1 << 13
"""Vectors transposed at once: their bits, as bytes, fit into the cache."""
_SAMPLE = 1 << 14
_BYTE = 8
_NONE, _ALL = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)


class BitPlanes:
    """(bits, n) sign bits, 64 vectors per word."""

    def __init__(self, bits: int, chosen: int) -> None:
        """`chosen`: the number of planes that a probe is compared with."""
        self._words: Words = np.zeros((bits, 0), np.uint64)
        self._scratch = _Scratch(chosen)
        self._chosen = chosen

    @property
    def words(self) -> Words:
        """(bits, words) planes; bits after the last vector are 0."""
        return self._words

    @property
    def nbytes(self) -> int:
        """Memory of the planes."""
        return self._words.nbytes

    def reserve(self, count: int) -> None:
        """Allocate memory for that many vectors."""
        words = -(-count // WORD)
        if words > self._words.shape[1]:
            wider = np.zeros((len(self._words), words), np.uint64)
            wider[:, : self._words.shape[1]] = self._words
            self._words = wider

    def write(self, words: Words, start: int) -> None:
        """Store the bits of (n, bits / 64) `words` from vector `start` on, after `reserve`."""
        held = self._words.view(np.uint8)
        for first in range(start - start % _BYTE, len(words), _TRANSPOSED):
            part = words[first : first + _TRANSPOSED]
            bits = np.ascontiguousarray(np.unpackbits(part.view(np.uint8), axis=1).T)
            packed = np.packbits(bits, axis=1, bitorder="little")
            held[:, first // _BYTE : first // _BYTE + packed.shape[1]] = packed

    def clear(self, start: int, stop: int) -> None:
        """Set the bits of these vectors to 0, except in a byte shared with the vector before."""
        self._words.view(np.uint8)[:, -(-start // _BYTE) : -(-stop // _BYTE)] = 0

    def load(self, words: Words) -> None:
        """Use these planes."""
        self._words = np.ascontiguousarray(words)

    def near(self, products: Array, count: int, share: float) -> Keys:
        """Of the first `count` vectors, those that differ least from a probe with these products.

        About that share of every `_ROWS` vectors; more, where many differ in equally many bits.
        `products`: (bits,) of the probe with the directions.
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
        """The same for `count` vectors from `start`, a multiple of 64; counted from `start`."""
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
            limit += 1  # the sample happened to include the nearest


class _Scratch(threading.local):
    """Memory for counting, one per thread.

    To allocate it for every search would take as long as the counting: the system fills such
    amounts with zeros, page by page.
    """

    def __init__(self, chosen: int) -> None:
        self.planes = np.empty((chosen, _ROWS // WORD), np.uint64)
        self.spare = np.empty((max(chosen // 3, 1), _ROWS // WORD), np.uint64)


def _counted(planes: Words, spare: Words) -> list[Words]:
    """The number of ones over (p, n) planes, as planes of binary digits, lowest first.

    Overwrites the planes, and a third as many of `spare`.
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
                # Move the sums and what was left over side by side, after everything carried.
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
    """A mask of the vectors whose counter is at most `limit`."""
    out[:] = _ALL
    for place, digit in enumerate(digits):
        if limit >> place & 1:
            np.bitwise_or(out, np.bitwise_not(digit), out=out)
        else:
            np.bitwise_and(out, np.bitwise_not(digit), out=out)
    return out


def _limit(digits: Sequence[Words], count: int, share: float) -> int:
    """The smallest limit that about that share of `count` counters meets, by a sample."""
    step = max(1, count // _SAMPLE)
    sample = np.stack([digit[: max(1, count // WORD) : step] for digit in digits])
    bits = np.unpackbits(sample.view(np.uint8), axis=1)
    counts = np.zeros(bits.shape[1], np.uint8)
    for place, row in enumerate(bits):
        counts += row << np.uint8(place)
    return int(np.searchsorted(np.cumsum(np.bincount(counts)), share * len(counts)))


def _places(mask: Words) -> Keys:
    """The positions of the set bits: byte by byte, lowest bit first."""
    octets = mask.view(np.uint8)
    held = np.flatnonzero(octets != 0)
    found = np.flatnonzero(np.unpackbits(octets[held], bitorder="little"))
    places: NDArray[np.int64] = _BYTE * held[found // _BYTE] + found % _BYTE
    return places


def pack_signs(products: Array) -> Words:
    """(n, bits) products to their sign bits, (n, words)."""
    return np.packbits(products > 0, axis=1).view(np.uint64)


def count_differing(words: Words, signs: Words) -> Array:
    """In how many bits each row of (n, w) words differs from a probe's (w,): (n,) float32."""
    counts = np.asarray(np.bitwise_count(words ^ signs), np.float32)
    # A product with ones, as NumPy sums rows this short one number at a time.
    return np.asarray(counts @ np.ones(len(signs), np.float32))


def draw_directions(dim: int, bits: int) -> Array:
    """(dim, bits) random directions, orthogonal as far as `dim` allows.

    Orthogonal directions spread the error of the signs more evenly than independent ones.
    """
    drawn = np.random.default_rng(0).standard_normal((-(-bits // dim), dim, dim))
    turns = [np.linalg.qr(square)[0] for square in drawn]
    return np.concatenate(turns, axis=1)[:, :bits].astype(np.float32)
