"""Signs as words of 64 bits: making them, and counting where they differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array

__all__ = ["Words", "count_into", "directions", "packed"]

Words = NDArray[np.uint64]


def packed(products: Array) -> Words:
    """(n, bits) products to the (n, words) of their signs."""
    return np.packbits(products > 0, axis=1).view(np.uint64)


def count_into(out: NDArray[np.uint8], words: Words, signs: Words) -> None:
    """How many bits of each column of (w, n) words differ from (w,) of a probe; three words fit."""
    held = np.empty(words.shape[1], np.uint64)
    count = np.empty(words.shape[1], np.uint8)
    np.bitwise_count(np.bitwise_xor(words[0], signs[0], out=held), out=out)
    for row, sign in zip(words[1:], signs[1:], strict=True):
        out += np.bitwise_count(np.bitwise_xor(row, sign, out=held), out=count)


def directions(dim: int, bits: int) -> Array:
    """(dim, bits) random directions, perpendicular to each other as far as `dim` allows.

    Perpendicular ones spread the error of the signs more evenly than independent ones.
    """
    drawn = np.random.default_rng(0).standard_normal((-(-bits // dim), dim, dim))
    turns = [np.linalg.qr(square)[0] for square in drawn]
    return np.concatenate(turns, axis=1)[:, :bits].astype(np.float32)
