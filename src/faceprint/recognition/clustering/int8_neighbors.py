"""Find pairs of similar faces, block by block, with int8 products.

Unit vectors are rounded to seven bits. The product of two codes has a normal error, so every pair
above the floor minus six standard deviations is kept and compared exactly afterwards: rounding
loses no neighbor, and a block costs a third of its float32 product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.runtime.int8_matmul import TOP, int8_matmul
from faceprint.types import Array

__all__ = [
    "Codes",
    "Ints",
    "NeighborLimits",
    "block_pairs",
    "code_products",
    "distinct",
    "encode",
    "nearest_pairs",
    "scale_for",
]

Ints = NDArray[np.int64]
Codes = NDArray[np.int8]

_TILE = 512
_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class NeighborLimits:
    """Which pairs are neighbors.

    Attributes:
        scale: codes are unit vectors times this, rounded.
        floor: least cosine similarity.
        most: neighbors kept per face while they are compared by codes; more than asked for, since
            rounding may change the order of nearly equal ones.
    """

    scale: float
    floor: float
    most: int

    @property
    def product(self) -> float:
        """The least product of codes that can belong to a similarity of `floor`."""
        return self.floor * self.scale**2 - self.slack

    @property
    def slack(self) -> float:
        """Six standard deviations of a product's rounding error.

        Each component of a vector has a uniform error of one unit, with a standard deviation of
        12 ** -0.5; the product multiplies it by the other vector's length, `scale`.
        """
        return float(6 * np.sqrt(2 / 12) * self.scale)


def scale_for(vectors: Array) -> float:
    """The scale at which the largest component of (n, d) vectors becomes the largest code."""
    largest = 0.0
    for start in range(0, len(vectors), _ROWS):
        part = vectors[start : start + _ROWS]
        largest = max(largest, float(part.max()), -float(part.min()))
    return TOP / largest if largest > 0 else 1.0


def encode(vectors: Array, scale: float) -> Codes:
    """(n, d) float32 vectors to (n, d) codes, a quarter of the size."""
    codes = np.empty(vectors.shape, np.int8)
    for start in range(0, len(vectors), _ROWS):
        part = vectors[start : start + _ROWS] * np.float32(scale)
        np.rint(part, out=part)
        codes[start : start + _ROWS] = np.clip(part, -TOP, TOP, out=part)
    return codes


def block_pairs(a: Codes, b: Codes | None, limits: NeighborLimits) -> tuple[Ints, Ints]:
    """The neighbors between two blocks, or within one if b is None; each pair once.

    A face with more than `limits.most` neighbors in the block keeps the nearest.

    Returns:
        (p,) rows of a and (p,) rows of b; if b is None the first is the smaller one.
    """
    rows, columns = [], []
    least = math.ceil(limits.product)
    for top in range(0, len(a), _TILE):
        left = 0 if b is not None else top
        products = int8_matmul(a[top : top + _TILE], (a if b is None else b)[left:])
        height, width = products.shape
        near = products >= least
        if np.count_nonzero(near) > limits.most * (height + width):
            near &= _nearest_only(products, limits.most + 1)  # a face finds itself too
        row, column = np.divmod(np.flatnonzero(near), width)
        if b is None:
            upper = column > row
            row, column = row[upper], column[upper]
        rows.append(row + top)
        columns.append(column + left)
    return np.concatenate(rows), np.concatenate(columns)


def _nearest_only(products: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    """The `count` largest of each row and of each column."""
    keep = np.zeros(products.shape, bool)
    for axis, size in enumerate(products.shape):
        at = size - count
        if at <= 0:
            return np.ones(products.shape, bool)
        best = np.argpartition(products, at, axis=axis)
        np.put_along_axis(keep, np.take(best, range(at, size), axis=axis), True, axis=axis)
    return keep


def code_products(codes: Codes, a: Ints, b: Ints) -> NDArray[np.int32]:
    """(p,) products of the codes of rows a[i] and b[i]."""
    out = np.empty(len(a), np.int32)
    for start in range(0, len(a), _TILE):
        part = slice(start, start + _TILE)
        np.einsum("pd,pd->p", codes[a[part]], codes[b[part]], out=out[part], dtype=np.int32)
    return out


def nearest_pairs(
    a: Ints, b: Ints, k: int, similarity: Callable[[Ints], NDArray[np.generic]]
) -> Ints:
    """Which of (p,) distinct pairs are among the k nearest of at least one of the two faces.

    Args:
        similarity: of the pairs at these places, -1..1 or int products; called for the pairs of
            faces with more than k neighbors only.
    """
    over = np.bincount(np.concatenate([a, b]), minlength=1) > k
    if not over.any():
        return np.arange(len(a))
    at_a, at_b = over[a], over[b]
    asked = np.flatnonzero(at_a | at_b)
    known = similarity(asked)
    of_a, of_b = np.flatnonzero(at_a[asked]), np.flatnonzero(at_b[asked])
    pair = np.concatenate([of_a, of_b])
    end = np.concatenate([a[asked[of_a]], b[asked[of_b]]])
    # Sorting by one integer is several times as fast as by two columns.
    if known.dtype.kind == "f":
        known = np.rint(known.astype(np.float64) * (1 << 30))
    order = np.argsort((end << 33) - known.astype(np.int64)[pair])
    first = np.flatnonzero(np.diff(end[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    kept = ~(at_a & at_b)
    kept[asked[pair[order[rank < k]]]] = True
    return np.flatnonzero(kept)


def distinct(keys: Ints) -> Ints:
    """Sorted unique keys; three times as fast as `numpy.unique` on many."""
    keys = np.sort(keys)
    return keys[np.flatnonzero(np.diff(keys, prepend=-1))]
