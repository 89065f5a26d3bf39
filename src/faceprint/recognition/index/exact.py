"""Exact search: a blocked matrix product over float32 or int8, and only what can win is sorted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from faceprint import settings
from faceprint.recognition.index.base import Fetch, Hits, Keys
from faceprint.recognition.index.int8 import scale_of, to_int8
from faceprint.recognition.index.rerank import stored
from faceprint.types import Array

__all__ = ["ExactIndex", "ExactInt8Index"]

_BLOCK = 1 << 22
"""Similarities held at once: 16 MB."""
_ROWS = 1 << 16
"""Rows of a block, at most: 128 MB of 512-d float32 while int8 is widened."""
_FIRST = 4096
"""Rows of the first block: enough for a threshold that spares the rest a sort."""
_GROWTH = 1.25
_ROUNDING = 1e-5
"""How far two float32 sums of the same products may lie apart."""


class ExactIndex:
    """All vectors in one matrix: 4 d bytes a vector, every probe compared with each.

    The product runs on the threads of numpy's BLAS (OPENBLAS_NUM_THREADS).
    """

    approximate = False
    _dtype: type[np.float32] | type[np.int8] = np.float32

    def __init__(self, dim: int) -> None:
        self._matrix: NDArray[np.float32 | np.int8] = np.empty((0, dim), self._dtype)
        self._keys = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory of the vectors and keys."""
        return self._matrix.nbytes + self._keys.nbytes

    def reserve(self, count: int) -> None:
        """Make room for that many vectors, so that filling up copies nothing."""
        if count > len(self._keys):
            matrix = np.empty((count, self._matrix.shape[1]), self._dtype)
            matrix[: self._count] = self._matrix[: self._count]
            keys = np.empty(count, np.int64)
            keys[: self._count] = self._keys[: self._count]
            self._matrix, self._keys = matrix, keys

    def add(self, keys: Keys, vectors: Array) -> None:
        """Append; keys must grow, as the stores give them."""
        if not len(keys):
            return
        if (np.diff(keys) <= 0).any() or (self._count and keys[0] <= self._keys[self._count - 1]):
            raise ValueError("keys must grow")
        end = self._count + len(keys)
        if end > len(self._keys):
            self.reserve(max(end, int(len(self._keys) * _GROWTH)))
        self._matrix[self._count : end] = self._encode(vectors)
        self._keys[self._count : end] = keys
        self._count = end

    def remove(self, keys: Keys) -> None:
        """Close the gaps, keeping the order; what lies behind the end is overwritten with zeros."""
        keep = ~np.isin(self._keys[: self._count], keys)
        left = int(keep.sum())
        self._matrix[:left] = self._matrix[: self._count][keep]
        self._keys[:left] = self._keys[: self._count][keep]
        self._matrix[left : self._count] = 0
        self._count = left

    def search(self, probes: Array, k: int) -> Hits:
        """Compare with every vector; ties go to the smaller key."""
        k = min(k, self._count)
        if k <= 0 or not len(probes):
            return Hits.empty(len(probes), max(k, 0))
        found = _scan(self._products(probes), len(probes), k, 0.0)
        rows = np.stack([best for best, _ in found])
        return Hits(self._keys[rows], np.stack([scores for _, scores in found]))

    def vectors(self, keys: Keys) -> Array:
        """(n,) known keys to their (n, d) float32 vectors."""
        rows: Array = self._matrix[self._rows_of(keys)].astype(np.float32, copy=False)
        return rows

    def _rows_of(self, keys: Keys) -> Keys:
        rows: Keys = np.searchsorted(self._keys[: self._count], keys)
        return rows

    def _encode(self, vectors: Array) -> NDArray[np.float32 | np.int8]:
        return vectors

    def _products(self, probes: Array) -> Iterator[tuple[int, Array]]:
        """(first row, (p, rows) similarities) of each block."""
        for start, stop in _blocks(self._count, len(probes)):
            block = self._matrix[start:stop]
            # A single probe as a vector takes BLAS's matrix-vector path, which is bound by memory.
            yield start, (block @ probes[0])[None] if len(probes) == 1 else probes @ block.T


class ExactInt8Index(ExactIndex):
    """The same answers from d bytes a vector in memory; the exact vectors stay in the store.

    With |x - code| <= r for every vector, a code's product with a unit probe is off by r at most,
    so whatever lies more than 2 r below the k-th best product can't be among the k nearest. The
    rest is fetched and compared exactly.
    """

    _dtype = np.int8

    def __init__(self, dim: int, fetch: Fetch, *, threads: int | None = None) -> None:
        super().__init__(dim)
        self._fetch = fetch
        self._error = 0.0
        self._threads = settings.available_cores() if threads is None else threads

    def search(self, probes: Array, k: int) -> Hits:
        """Compare with every code, then exactly with what can be among the nearest."""
        k = min(k, self._count)
        if k <= 0 or not len(probes):
            return Hits.empty(len(probes), max(k, 0))
        slack = 2 * self._error + _ROUNDING
        found = _scan(self._products(probes), len(probes), k, slack)
        wanted = np.unique(np.concatenate([self._keys[rows] for rows, _ in found]))
        known, exact = self._fetch(wanted)
        order = np.argsort(known)
        known, exact = known[order], exact[order]
        hits = Hits.empty(len(probes), k)
        for place, (rows, _) in enumerate(found):
            # A template that was removed meanwhile is no longer in the store.
            there = np.flatnonzero(np.isin(known, self._keys[rows]))
            # Row by row alike, so that equal vectors tie, which BLAS does not promise.
            scores = np.einsum("nd,d->n", exact[there], probes[place])
            best = np.lexsort((known[there], -scores))[:k]
            hits.keys[place, : len(best)] = known[there][best]
            hits.similarities[place, : len(best)] = scores[best]
        return hits

    def vectors(self, keys: Keys) -> Array:
        """Exact vectors, from the store."""
        return stored(self._fetch, keys)

    def _encode(self, vectors: Array) -> NDArray[np.float32 | np.int8]:
        codes = to_int8(vectors)
        rest = vectors - codes / np.float32(scale_of(vectors.shape[1]))
        self._error = max(self._error, float(np.sqrt(np.einsum("nd,nd->n", rest, rest)).max()))
        return codes

    def _products(self, probes: Array) -> Iterator[tuple[int, Array]]:
        scaled: Array = probes / np.float32(scale_of(probes.shape[1]))
        wide: Array = np.empty((min(_ROWS, self._count), probes.shape[1]), np.float32)
        with ThreadPoolExecutor(self._threads) as pool:
            for start, stop in _blocks(self._count, len(probes)):
                rows = np.linspace(0, stop - start, self._threads + 1).astype(int)
                list(
                    pool.map(
                        self._widen, [wide] * self._threads, [start] * self._threads, rows, rows[1:]
                    )
                )
                scores: Array = scaled @ wide[: stop - start].T
                yield start, scores

    def _widen(self, wide: Array, start: int, low: int, high: int) -> None:
        wide[low:high] = self._matrix[start + low : start + high]


def _blocks(count: int, probes: int) -> Iterator[tuple[int, int]]:
    step = max(1, min(_BLOCK // probes, _ROWS))
    start, stop = 0, min(count, _FIRST, step)
    while start < stop:
        yield start, stop
        start, stop = stop, min(count, stop + step)


def _scan(
    products: Iterator[tuple[int, Array]], probes: int, k: int, slack: float
) -> list[tuple[Keys, Array]]:
    """Of each probe the rows whose product is at most `slack` below the k-th best, best first.

    Without slack exactly k. A block is compared with the k-th best so far, and only what passes is
    sorted: among random rows that is k ln(n) of them.
    """
    rows: list[Keys] = [np.empty(0, np.int64)] * probes
    held: list[Array] = [np.empty(0, np.float32)] * probes
    floors = np.full(probes, -np.inf, np.float32)
    for first, scores in products:
        if first == 0 and scores.shape[1] > k:
            floors = np.partition(scores, -k, axis=1)[:, -k] - np.float32(slack)
        probe, column = np.nonzero(scores >= floors[:, None])
        cuts = np.searchsorted(probe, np.arange(probes + 1))
        for place in np.flatnonzero(np.diff(cuts)):
            part = column[cuts[place] : cuts[place + 1]]
            near = np.concatenate([held[place], scores[place, part]])
            far = np.concatenate([rows[place], part + first])
            best = np.lexsort((far, -near))
            near, far = near[best], far[best]
            if len(near) > k:
                floors[place] = near[k - 1] - np.float32(slack)
                keep = k if slack == 0 else int(np.searchsorted(-near, -floors[place], "right"))
                near, far = near[:keep], far[:keep]
            held[place], rows[place] = near, far
    return list(zip(rows, held, strict=True))
