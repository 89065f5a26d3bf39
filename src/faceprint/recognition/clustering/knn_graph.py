"""The k-nearest-neighbor graph of faces: the pairs that may be merged.

Up to `EXACT_UP_TO` faces, every pair is compared, in blocks. Beyond, only faces that share a cell
are (`approximate_knn`). Blocks and cells are independent tasks, for threads or for the machines of
a cluster. Vectors may be a mapped file that is larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from faceprint import settings
from faceprint.errors import UsageError
from faceprint.recognition.clustering.approximate_knn import cell_pairs, pivot_counts
from faceprint.recognition.clustering.cell_store import assign_cells
from faceprint.recognition.clustering.int8_neighbors import (
    Codes,
    Ints,
    NeighborLimits,
    block_pairs,
    distinct,
    encode,
    nearest_pairs,
    scale_for,
)
from faceprint.recognition.clustering.tasks import Run, Task, in_threads
from faceprint.types import Array

__all__ = ["EXACT_UP_TO", "Edges", "dots", "neighbor_graph"]

EXACT_UP_TO = 20_000
"""Faces up to which every pair is compared: 200 million products, half a second on two cores."""

_BLOCK = 4_096
_HELD = 1 << 22
"""Number of new pairs after which they are compared exactly and only the nearest are kept."""

_FLOATS = 1 << 18
"""Numbers gathered at a time for exact products: what fits in a core's cache."""

_MIN_CHUNKS = 32
"""Number of such gatherings from which several threads are faster than one."""


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Undirected edges, each once.

    Attributes:
        a, b: (e,) int64 faces, a < b, sorted by both.
        similarity: (e,) float32 cosine.
    """

    a: Ints
    b: Ints
    similarity: Array

    def __len__(self) -> int:
        return len(self.a)


def neighbor_graph(
    vectors: Array,
    *,
    k: int,
    floor: float,
    exact: bool | None = None,
    threads: int | None = None,
    run: Run | None = None,
) -> Edges:
    """Connect every face to its k nearest neighbors with similarity `floor` or more.

    Args:
        vectors: (n, d) unit rows; a `numpy.memmap` is read block by block, and its cells are kept
            in its folder meanwhile (d bytes for each of a face's sixteen cells).
        exact: compare every pair; None decides by n.
        threads: None means all cores that may be used.
        run: does the tasks; None means threads of this process.

    Raises:
        UsageError: k below 1.
    """
    if k < 1:
        raise UsageError(f"k is {k}; a graph needs at least one neighbor per face")
    n = len(vectors)
    count = threads or settings.available_cores()
    nearest = _Nearest(vectors, k, floor, count)
    if n < 2:
        return nearest.edges()
    run = run or in_threads(count)
    exact = n <= EXACT_UP_TO if exact is None else exact
    limits = NeighborLimits(scale_for(vectors), floor, 4 * k + 16 if exact else 2 * k)
    if exact:
        for (first, second), (a, b) in run(block_pairs, _blocks(vectors, limits)):
            nearest.add(a + first, b + second)
    else:
        pivots, inner_pivots = pivot_counts(n)
        with assign_cells(vectors, pivots, limits.scale, count) as cells:
            tasks = ((ids, (codes, inner_pivots, limits)) for ids, codes in cells)
            for ids, (a, b) in run(cell_pairs, tasks):
                nearest.add(ids[a], ids[b])
    return nearest.edges()


def dots(vectors: Array, a: Ints, b: Ints, *, threads: int | None = None) -> Array:
    """(e,) products of rows a[i] and b[i]; `threads` None means all cores that may be used."""
    out = np.empty(len(a), np.float32)
    step = max(1, _FLOATS // max(1, vectors.shape[1]))

    def fill(low: int, high: int) -> None:
        for start in range(low, high, step):
            part = slice(start, min(start + step, high))
            one, other = vectors.take(a[part], axis=0), vectors.take(b[part], axis=0)
            np.einsum("ed,ed->e", one, other, out=out[part])

    count = threads or settings.available_cores()
    if count == 1 or len(a) < _MIN_CHUNKS * step:
        fill(0, len(a))
        return out
    share = step * -(-len(a) // (4 * count * step))
    parts = ((low, (low, min(low + share, len(a)))) for low in range(0, len(a), share))
    for _ in in_threads(count)(fill, parts):
        pass
    return out


def _blocks(vectors: Array, limits: NeighborLimits) -> Iterator[Task]:
    """Every block with itself and with each later block."""

    def coded(start: int) -> Codes:
        return encode(vectors[start : start + _BLOCK], limits.scale)

    for first in range(0, len(vectors), _BLOCK):
        left = coded(first)
        yield (first, first), (left, None, limits)
        for second in range(first + _BLOCK, len(vectors), _BLOCK):
            yield (first, second), (left, coded(second), limits)


class _Nearest:
    """The edges so far: pairs above the floor that are among the k nearest of either face."""

    def __init__(self, vectors: Array, k: int, floor: float, threads: int) -> None:
        self._vectors, self._k, self._floor = vectors, k, np.float32(floor)
        self._threads = threads
        self._keys, self._similarity = np.empty(0, np.int64), np.empty(0, np.float32)
        self._new: list[Ints] = []
        self._count = 0

    def add(self, a: Ints, b: Ints) -> None:
        """Add pairs, in any order, known or new."""
        self._new.append(np.minimum(a, b) * len(self._vectors) + np.maximum(a, b))
        self._count += len(a)
        if self._count >= _HELD:
            self._merge_new()

    def edges(self) -> Edges:
        """The edges found."""
        self._merge_new()
        a, b = np.divmod(self._keys, max(1, len(self._vectors)))
        return Edges(a, b, self._similarity)

    def _merge_new(self) -> None:
        if not self._new:
            return
        keys = distinct(np.concatenate(self._new))
        self._new, self._count = [], 0
        keys = keys[~_among(keys, self._keys)]
        ends = np.divmod(keys, len(self._vectors))
        similarity = dots(self._vectors, *ends, threads=self._threads)
        near = similarity >= self._floor
        keys = np.concatenate([self._keys, keys[near]])
        similarity = np.concatenate([self._similarity, similarity[near]])
        order = np.argsort(keys, kind="stable")
        keys, similarity = keys[order], similarity[order]
        a, b = np.divmod(keys, len(self._vectors))
        kept = nearest_pairs(a, b, self._k, lambda places: similarity[places])
        self._keys, self._similarity = keys[kept], similarity[kept]


def _among(keys: Ints, known: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which of some sorted keys are among other sorted keys."""
    if not len(known):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[place] == keys)
