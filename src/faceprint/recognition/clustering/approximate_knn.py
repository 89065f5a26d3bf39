"""Overlapping cells of faces that are near each other: who is compared with whom in a large album.

Faces are dealt out to the nearest of some leaders, each to several, and within such a cell again to
leaders of its own, until cells are small enough to compare everybody with everybody. A cell's
leaders are faces drawn at random that were moved once to the middle of those nearest to them, as in
k-means. Two faces of one person nearly always share one of their thirty cells;
docs/decisions/0006-clustering.md has how often. Partitions that overlap, with a fan-out a level and
matrix products in the leaves, are those of Rubel et al., "PiPNN: Ultra-Scalable Graph-Based Nearest
Neighbor Indexing" (arXiv 2602.21247).

The work in the leaves grows as n does; comparing with the leaders grows as n ** 1.5, and is the
smaller part up to some millions of faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.int8_neighbors import (
    Codes,
    Floor,
    Ints,
    block_pairs,
    code_products,
    distinct,
    encode,
    nearest_pairs,
    scale_for,
)
from faceprint.runtime.int8_matmul import int8_matmul
from faceprint.types import Array

__all__ = ["FANS", "SAMPLE", "Leaders", "cell_pairs", "choose_leaders", "leaders_for", "members_of"]

FANS = (16, 2)
"""Cells a face goes to: of the first leaders, and in each of these of the cell's own leaders."""

SAMPLE = 64
"""Faces a leader that its place is found from."""

_LEAF = 320
"""Faces in a cell of the second kind, on average."""

_LIMIT = 4 * _LEAF
_ASPECT = 2
_FEW = 3
"""The largest fan for which looking for the best one by one is the faster way."""


@dataclass(frozen=True, slots=True, eq=False)
class Leaders:
    """Leaders by which faces are dealt out.

    Attributes:
        codes: (c, d) directions from the middle of all to each leader.
        bias: (c,) products of these with the middle.
    """

    codes: Codes
    bias: NDArray[np.int32]

    def nearest(self, faces: Codes, fan: int) -> NDArray[np.int32]:
        """(n, d) codes to (n, fan) leaders of each, in no order."""
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


def leaders_for(n: int) -> tuple[int, int]:
    """How many leaders bring n faces down to cells of the size wanted, and how many in each cell.

    A face is compared with the first ones once, with those in a cell in each of its cells.
    """
    both = float(np.sqrt(n * np.prod(FANS) / _LEAF))
    return max(2, round(both * _ASPECT)), max(2, round(both / _ASPECT))


def choose_leaders(sample: Codes, count: int) -> Leaders:
    """Leaders from (m, d) codes in random order: the first ones, moved once."""
    middle = sample.mean(axis=0, dtype=np.float32)
    owner = _leaders(sample[:count].astype(np.float32), middle).nearest(sample, 1)[:, 0]
    owned = (owner == np.arange(count)[:, None]).astype(np.int8)
    owned = owned[owned.any(axis=1)]  # of two equal faces one has nobody near it
    sums = int8_matmul(owned, np.ascontiguousarray(sample.T))
    return _leaders(sums / owned.sum(axis=1, keepdims=True, dtype=np.float32), middle)


def cell_pairs(faces: Codes, leaders: int, floor: Floor) -> tuple[Ints, Ints]:
    """The near pairs in a cell of the first kind, each once, by their rows in it.

    Args:
        leaders: into how many cells of the second kind it is divided.
    """
    n = len(faces)
    parts = [np.empty(0, np.int64)]
    for leaf in _leaves(faces, leaders):
        a, b = block_pairs(faces[leaf], None, floor)
        parts.append(leaf[a] * n + leaf[b])
    a, b = np.divmod(distinct(np.concatenate(parts)), max(n, 1))
    if len(a) > floor.most * n:
        kept = nearest_pairs(
            a, b, floor.most, lambda places: code_products(faces, a[places], b[places])
        )
        a, b = a[kept], b[kept]
    return a, b


def members_of(nearest: NDArray[np.int32], count: int) -> list[Ints]:
    """(n, fan) leaders of each face to the faces of each of `count` leaders, in order."""
    flat = nearest.ravel()
    order = np.argsort(flat.astype(np.uint16) if count <= 1 << 16 else flat, kind="stable")
    cuts = np.searchsorted(flat[order], np.arange(1, count))
    return [places // nearest.shape[1] for places in np.split(order, cuts)]


def _leaves(faces: Codes, count: int) -> Iterator[Ints]:
    """Cells of the second kind: rows in order, two or more."""
    n = len(faces)
    if n <= max(_LEAF, count):
        if n > 1:
            yield np.arange(n)
        return
    rng = np.random.default_rng(n)
    sample = faces[rng.permutation(n)[: count * SAMPLE]]
    nearest = choose_leaders(sample, count).nearest(faces, FANS[1])
    for members in members_of(nearest, count):
        if len(members) > _LIMIT:
            # Faces that no leader tells apart: one has enough neighbors in any part of them.
            parts = np.array_split(rng.permutation(members), -(-len(members) // _LIMIT))
            yield from (np.sort(part) for part in parts)
        elif len(members) > 1:
            yield members


def _leaders(places: Array, middle: Array) -> Leaders:
    away = places - middle
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), np.float32(1e-6))
    codes = encode(away, scale_for(away))
    bias = np.einsum("cd,d->c", codes.astype(np.float32), middle)
    return Leaders(codes, np.rint(bias).astype(np.int32))
