"""The nearest neighbours of every face: who may be joined to whom.

Small albums are compared exactly, in blocks. From `EXACT_UP_TO` faces on, where that would cost
more than everything else together, usearch's HNSW graph finds candidates (Malkov and Yashunin 2016)
and their similarities are computed exactly afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint import settings
from faceprint.errors import UsageError
from faceprint.types import Array

__all__ = ["EXACT_UP_TO", "Edges", "Ints", "dots", "neighbor_graph"]

Ints = NDArray[np.int64]

EXACT_UP_TO = 20_000
"""Faces up to which every pair is compared: 400 million products, seconds on two cores."""

_BLOCK = 1 << 23
_PAIRS = 1 << 15
_SLICE = 20_000


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
    vectors: Array, *, k: int, least: float, exact: bool | None = None, threads: int | None = None
) -> Edges:
    """Join every face to its k nearest of similarity `least` or more.

    Args:
        vectors: (n, d) unit rows.
        exact: compare every pair; None decides by n, and True needs no usearch.

    Raises:
        UsageError: k below 1.
        MissingExtraError: usearch is needed and not installed.
    """
    if k < 1:
        raise UsageError(f"k is {k}; a graph needs at least one neighbour a face")
    if exact is None:
        exact = len(vectors) <= EXACT_UP_TO
    k = min(k, len(vectors) - 1)
    if k < 1:
        nothing = np.empty(0, np.int64)
        return Edges(nothing, nothing, np.empty(0, np.float32))
    rows, columns = _exact(vectors, k, least) if exact else _approximate(vectors, k, threads)
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    keys = np.unique(low * len(vectors) + high)
    a, b = keys // len(vectors), keys % len(vectors)
    similarity = dots(vectors, a, b)
    near = similarity >= least
    return Edges(a[near], b[near], similarity[near])


def dots(vectors: Array, a: Ints, b: Ints) -> Array:
    """(e,) products of rows a[i] and b[i], in blocks that stay in the cache."""
    out = np.empty(len(a), np.float32)
    for start in range(0, len(a), _PAIRS):
        part = slice(start, start + _PAIRS)
        np.einsum("ed,ed->e", vectors[a[part]], vectors[b[part]], out=out[part])
    return out


def _exact(vectors: Array, k: int, least: float) -> tuple[Ints, Ints]:
    n = len(vectors)
    rows, columns = [], []
    step = max(1, _BLOCK // n)
    for start in range(0, n, step):
        block = vectors[start : start + step] @ vectors.T
        local = np.arange(len(block))
        block[local, start + local] = -np.inf
        best = np.argpartition(block, n - k, axis=1)[:, n - k :]
        near = np.take_along_axis(block, best, 1) >= least
        rows.append((start + local[:, None] + np.zeros_like(best))[near])
        columns.append(best[near])
    return np.concatenate(rows), np.concatenate(columns)


def _approximate(vectors: Array, k: int, threads: int | None) -> tuple[Ints, Ints]:
    from faceprint._optional import require

    module = require("usearch.index", extra="ann")
    count = threads or settings.available_cores()
    n, d = vectors.shape
    graph = module.Index(
        ndim=d, metric="cos", dtype="i8", connectivity=16, expansion_add=64, expansion_search=64
    )
    graph.add(np.arange(n, dtype=np.uint64), vectors, threads=count)
    rows, columns = [], []
    for start in range(0, n, _SLICE):
        part = vectors[start : start + _SLICE]
        found = np.asarray(graph.search(part, k + 1, threads=count).keys).astype(np.int64)
        found = found.reshape(len(part), -1)
        own = np.broadcast_to(np.arange(start, start + len(part))[:, None], found.shape)
        other = (found != own) & (found >= 0) & (found < n)
        rows.append(own[other])
        columns.append(found[other])
    return np.concatenate(rows), np.concatenate(columns)
