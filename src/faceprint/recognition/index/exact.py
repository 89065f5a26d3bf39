"""Exact search: a blocked matrix product, of which only possible winners are sorted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from faceprint.recognition.index.base import Hits, Keys, check_ascending
from faceprint.types import Array

__all__ = ["ExactIndex"]

_BLOCK = 1 << 22
"""Similarities in memory at once: 16 MB."""
_MAX_ROWS = 1 << 16
"""Rows of a block."""
_FIRST = 4096
"""Rows of the first block: enough for a threshold that keeps the rest from being sorted."""
_GROWTH = 1.25


class ExactIndex:
    """All vectors in one matrix, 4 d bytes per vector; compares every probe with each.

    The product uses the threads of NumPy's BLAS (OPENBLAS_NUM_THREADS).
    """

    approximate = False

    def __init__(self, dim: int) -> None:
        self._matrix: Array = np.empty((0, dim), np.float32)
        self._keys = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory of the vectors and keys."""
        return self._matrix.nbytes + self._keys.nbytes

    def reserve(self, count: int) -> None:
        """Allocate memory for that many vectors, so that adding them copies nothing."""
        if count > len(self._keys):
            matrix = np.empty((count, self._matrix.shape[1]), np.float32)
            matrix[: self._count] = self._matrix[: self._count]
            keys = np.empty(count, np.int64)
            keys[: self._count] = self._keys[: self._count]
            self._matrix, self._keys = matrix, keys

    def add(self, keys: Keys, vectors: Array) -> None:
        """Append vectors; keys must ascend, as those of the stores do."""
        if not len(keys):
            return
        check_ascending(self._keys[: self._count], keys)
        end = self._count + len(keys)
        if end > len(self._keys):
            self.reserve(max(end, int(len(self._keys) * _GROWTH)))
        self._matrix[self._count : end] = vectors
        self._keys[self._count : end] = keys
        self._count = end

    def remove(self, keys: Keys) -> None:
        """Close the gaps, keeping the order, and overwrite what is left at the end with zeros."""
        keep = ~np.isin(self._keys[: self._count], keys)
        left = int(keep.sum())
        self._matrix[:left] = self._matrix[: self._count][keep]
        self._keys[:left] = self._keys[: self._count][keep]
        self._matrix[left : self._count] = 0
        self._count = left

    def search(self, probes: Array, k: int) -> Hits:
        """Compare with every vector; of equal similarities the smaller key comes first."""
        k = min(k, self._count)
        if k <= 0 or not len(probes):
            return Hits.empty(len(probes), max(k, 0))
        found = _best_rows(self._products(probes), len(probes), k)
        rows = np.stack([best for best, _ in found])
        return Hits(self._keys[rows], np.stack([scores for _, scores in found]))

    def vectors(self, keys: Keys) -> Array:
        """(n,) known keys to their (n, d) float32 vectors."""
        return self._matrix[np.searchsorted(self._keys[: self._count], keys)]

    def _products(self, probes: Array) -> Iterator[tuple[int, Array]]:
        """(first row, (p, rows) similarities) of each block."""
        step = max(1, min(_BLOCK // len(probes), _MAX_ROWS))
        start, stop = 0, min(self._count, _FIRST, step)
        while start < stop:
            block = self._matrix[start:stop]
            # A single probe as a vector takes BLAS's matrix-vector path, which is bound by memory.
            yield start, (block @ probes[0])[None] if len(probes) == 1 else probes @ block.T
            start, stop = stop, min(self._count, stop + step)


def _best_rows(
    products: Iterator[tuple[int, Array]], probes: int, k: int
) -> list[tuple[Keys, Array]]:
    """For each probe the k rows with the largest products, best first.

    A block is compared with the k-th best product so far, and only what passes is sorted: among
    random rows that is k ln(n) of them.
    """
    rows: list[Keys] = [np.empty(0, np.int64)] * probes
    best: list[Array] = [np.empty(0, np.float32)] * probes
    floors = np.full(probes, -np.inf, np.float32)
    for first, scores in products:
        if first == 0 and scores.shape[1] > k:
            floors = np.partition(scores, -k, axis=1)[:, -k]
        probe, column = np.nonzero(scores >= floors[:, None])
        cuts = np.searchsorted(probe, np.arange(probes + 1))
        for place in np.flatnonzero(np.diff(cuts)):
            part = column[cuts[place] : cuts[place + 1]]
            near = np.concatenate([best[place], scores[place, part]])
            far = np.concatenate([rows[place], part + first])
            order = np.lexsort((far, -near))[:k]
            best[place], rows[place] = near[order], far[order]
            if len(order) == k:
                floors[place] = best[place][-1]
    return list(zip(rows, best, strict=True))
