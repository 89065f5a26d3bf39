"""Signs as words of 64 bits: making them, and counting where they differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array

__all__ = ["WORD", "Words", "differing", "directions", "packed"]

WORD = 64
"""Signs in a word."""

Words = NDArray[np.uint64]


def packed(products: Array) -> Words:
    """(n, bits) products to the (n, words) of their signs."""
    return np.packbits(products > 0, axis=1).view(np.uint64)


def differing(words: Words, signs: Words) -> Array:
    """How many bits of each row of (n, w) words differ from (w,) of a probe: (n,) float32."""
    counts = np.asarray(np.bitwise_count(words ^ signs), np.float32)
    # A product with ones: NumPy sums rows this short one number at a time.
    return np.asarray(counts @ np.ones(len(signs), np.float32))


def directions(dim: int, bits: int) -> Array:
    """(dim, bits) random directions, perpendicular to each other as far as `dim` allows.

    Perpendicular ones spread the error of the signs more evenly than independent ones.
    """
    drawn = np.random.default_rng(0).standard_normal((-(-bits // dim), dim, dim))
    turns = [np.linalg.qr(square)[0] for square in drawn]
    return np.concatenate(turns, axis=1)[:, :bits].astype(np.float32)
