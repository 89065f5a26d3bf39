"""Approximate k-nearest neighbors: faces are compared within overlapping cells.

Each face goes to the cells of its nearest pivots, and within each cell to subcells of further
pivots, until subcells are small enough to compare all pairs. Pivots are faces drawn at random and
moved once to the mean of the faces nearest to them, as in k-means. Two faces of one person nearly
always share one of their about thirty subcells; docs/decisions/0006-clustering.md has how often.
Overlapping partitions with a fan-out per level and matrix products in the leaves are those of Rubel
et al., "PiPNN: Ultra-Scalable Graph-Based Nearest Neighbor Indexing" (arXiv 2602.21247).

The work in the leaves is proportional to n; the comparisons with pivots grow as n ** 1.5 and are
the smaller part up to some millions of faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.int8_neighbors import (
    Codes,
    Ints,
    NeighborLimits,
    block_pairs,
    code_products,
    distinct,
    encode,
    nearest_pairs,
    scale_for,
)
from faceprint.runtime.int8_matmul import int8_matmul
from faceprint.types import Array

__all__ = [
    "FAN_OUT",
    "SAMPLE",
    "Pivots",
    "cell_pairs",
    "choose_pivots",
    "group_by_pivot",
    "pivot_counts",
]

FAN_OUT = (16, 2)
"""Number of cells per face, and of subcells per face in each cell."""

SAMPLE = 64
"""Faces per pivot from which its position is computed."""

_LEAF = 320
"""Average number of faces in a subcell."""

_LIMIT = 4 * _LEAF
_ASPECT = 2
_FEW = 3
"""The largest fan-out for which repeated argmax is faster than argpartition."""


@dataclass(frozen=True, slots=True, eq=False)
class Pivots:
    """Points that define cells: a face belongs to the cells of its nearest pivots.

    Attributes:
        codes: (c, d) directions from the mean of all faces to each pivot.
        bias: (c,) products of these with the mean.
    """

    codes: Codes
    bias: NDArray[np.int32]

    def nearest(self, faces: Codes, fan: int) -> NDArray[np.int32]:
        """(n, d) codes to the (n, fan) nearest pivots of each, in no order."""
        count = len(self.bias)
        if fan >= count:
            return np.broadcast_to(np.arange(count, dtype=np.int32), (len(faces), count))
        scores = int8_matmul(faces, self.codes)
        scores -= self.bias
        if fan > _FEW:
            best = np.argpartition(scores, count - fan, axis=1)[:, count - fan :]
            return np.asarray(best, np.int32)
        few = np.empty((len(faces), fan), np.int32)
        for place in range(fan):
            few[:, place] = scores.argmax(axis=1)
            scores[np.arange(len(faces)), few[:, place]] = np.iinfo(np.int32).min
        return few


def pivot_counts(n: int) -> tuple[int, int]:
    """The number of pivots for n faces, and of pivots in each cell.

    A face is compared with the first kind once, and with the second kind in each of its cells.
    """
    both = float(np.sqrt(n * np.prod(FAN_OUT) / _LEAF))
    return max(2, round(both * _ASPECT)), max(2, round(both / _ASPECT))


def choose_pivots(sample: Codes, count: int) -> Pivots:
    """The first `count` of (m, d) codes in random order, moved once to the mean of their cell."""
    mean = sample.mean(axis=0, dtype=np.float32)
    owner = _pivots(sample[:count].astype(np.float32), mean).nearest(sample, 1)[:, 0]
    owned = (owner == np.arange(count)[:, None]).astype(np.int8)
    owned = owned[owned.any(axis=1)]  # of two equal faces, one owns nothing
    sums = int8_matmul(owned, np.ascontiguousarray(sample.T))
    return _pivots(sums / owned.sum(axis=1, keepdims=True, dtype=np.float32), mean)


def cell_pairs(faces: Codes, pivots: int, limits: NeighborLimits) -> tuple[Ints, Ints]:
    """The neighbors within a cell, each pair once, by their rows in the cell.

    Args:
        pivots: the number of subcells it is divided into.
    """
    n = len(faces)
    parts = [np.empty(0, np.int64)]
    for subcell in _subcells(faces, pivots):
        a, b = block_pairs(faces[subcell], None, limits)
        parts.append(subcell[a] * n + subcell[b])
    a, b = np.divmod(distinct(np.concatenate(parts)), max(n, 1))
    if len(a) > limits.most * n:
        kept = nearest_pairs(
            a, b, limits.most, lambda places: code_products(faces, a[places], b[places])
        )
        a, b = a[kept], b[kept]
    return a, b


def group_by_pivot(nearest: NDArray[np.int32], count: int) -> list[Ints]:
    """The faces of each of `count` pivots, in order, from the (n, fan) pivots of each face."""
    flat = nearest.ravel()
    order = np.argsort(flat.astype(np.uint16) if count <= 1 << 16 else flat, kind="stable")
    cuts = np.searchsorted(flat[order], np.arange(1, count))
    return [places // nearest.shape[1] for places in np.split(order, cuts)]


def _subcells(faces: Codes, count: int) -> Iterator[Ints]:
    """The rows of each subcell, in order; two rows or more."""
    n = len(faces)
    if n <= max(_LEAF, count):
        if n > 1:
            yield np.arange(n)
        return
    rng = np.random.default_rng(n)
    sample = faces[rng.permutation(n)[: count * SAMPLE]]
    nearest = choose_pivots(sample, count).nearest(faces, FAN_OUT[1])
    for members in group_by_pivot(nearest, count):
        if len(members) > _LIMIT:
            # Nearly equal faces: each has enough neighbors in any part of the cell.
            parts = np.array_split(rng.permutation(members), -(-len(members) // _LIMIT))
            yield from (np.sort(part) for part in parts)
        elif len(members) > 1:
            yield members


def _pivots(points: Array, mean: Array) -> Pivots:
    directions = points - mean
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.float32(1e-6))
    codes = encode(directions, scale_for(directions))
    bias = np.einsum("cd,d->c", codes.astype(np.float32), mean)
    return Pivots(codes, np.rint(bias).astype(np.int32))
