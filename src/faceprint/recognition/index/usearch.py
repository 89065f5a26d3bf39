"""Approximate search: usearch's HNSW over int8 vectors, re-ranked by exact similarities.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical
navigable small world graphs", 2016. The graph compares int8 vectors, which take a quarter of the
memory. Candidates are then compared with the float32 vectors that `fetch` reads from the store, so
similarities are exact and rounding does not change the order of the best.

The int8 codes are ours (`to_int8`): one scale for all vectors makes integer products comparable.
usearch's own codes use a sixth of the range on unit vectors; their recall@1 before the exact
comparison was 0.85, that of ours 0.98. Plain products instead of cosines halve the time to build
(measured on 100,000 vectors, docs/scaling.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint._optional import require
from faceprint.errors import GalleryCorruptError
from faceprint.recognition.index.base import Fetch, Hits, Keys
from faceprint.recognition.index.rerank import exact_many, exact_one, stored
from faceprint.types import Array

__all__ = ["HnswSettings", "UsearchIndex", "scale_of", "to_int8"]

_RANGE = 5.0
"""Standard deviations of a component (1 / sqrt(d)) that fill the range; larger ones are clipped.

Rounding then costs about 1 % of a vector's length.
"""


@dataclass(frozen=True, slots=True)
class HnswSettings:
    """The graph.

    Attributes:
        connectivity: links per node (M); memory grows with it.
        expansion_add, expansion_search: candidates kept while building and searching.
        dtype: of the vectors in the graph: `i8`, `f16` or `f32`.
        rerank: the least number of candidates that are compared exactly.
        search_threads: for batches of probes; 0 for all.
    """

    connectivity: int = 16
    expansion_add: int = 128
    expansion_search: int = 96
    dtype: str = "i8"
    rerank: int = 8
    search_threads: int = 0


class UsearchIndex:
    """An HNSW graph in memory; float32 vectors stay in the store."""

    approximate = True

    def __init__(self, dim: int, fetch: Fetch, settings: HnswSettings | None = None) -> None:
        self.settings = settings or HnswSettings()
        self._fetch = fetch
        self._dim = dim
        self.removed = False
        """Whether bytes of removed vectors may still be in the graph."""
        # ONNX Runtime 1.31 crashes when it is imported after usearch 2.26.
        import faceprint._onnxruntime  # noqa: F401

        module = require("usearch.index", extra="ann")
        self._graph: Any = module.Index(
            ndim=dim,
            metric="ip",
            dtype=self.settings.dtype,
            connectivity=self.settings.connectivity,
            expansion_add=self.settings.expansion_add,
            expansion_search=self.settings.expansion_search,
        )

    def __len__(self) -> int:
        return len(self._graph)

    @property
    def nbytes(self) -> int:
        """Memory of the graph and its vectors."""
        return int(self._graph.memory_usage)

    def keys(self) -> Keys:
        """(n,) keys, in no order."""
        return np.asarray(self._graph.keys, np.int64) if len(self._graph) else np.empty(0, np.int64)

    def add(self, keys: Keys, vectors: Array) -> None:
        """Insert vectors, on one thread: on two, usearch 2.26 left some that no search reaches.

        Of 3,000 vectors up to 21 did not find themselves; on one thread none ever.
        """
        if len(keys):
            self._graph.add(keys.astype(np.uint64), self._encode(vectors), threads=1)

    def remove(self, keys: Keys) -> None:
        """Unlink; the bytes stay until the graph is rebuilt, so it is not saved before."""
        for key in keys:
            if int(key) in self._graph:
                self._graph.remove(int(key))
                self.removed = True

    def search(self, probes: Array, k: int) -> Hits:
        """Candidates from the graph, then exact similarities."""
        k = min(k, len(self))
        if k <= 0 or not len(probes):
            return Hits.empty(len(probes), max(k, 0))
        wide = min(max(k, self.settings.rerank), len(self))
        coded = self._encode(probes)
        # A single probe is passed as a vector: a batch of one would wait for threads to start.
        single = len(probes) == 1
        found = self._graph.search(
            coded[0] if single else coded,
            wide,
            threads=1 if single else self.settings.search_threads,
        )
        keys = np.asarray(found.keys).astype(np.int64).reshape(len(probes), -1)
        if single:
            return exact_one(self._fetch, probes[0], keys[0], k)
        counts = np.atleast_1d(np.asarray(getattr(found, "counts", keys.shape[1])))
        counts = np.broadcast_to(counts, len(probes))
        valid = np.arange(keys.shape[1])[None] < counts[:, None]
        return exact_many(self._fetch, probes, keys, valid, k)

    def vectors(self, keys: Keys) -> Array:
        """Exact vectors, from the store."""
        return stored(self._fetch, keys)

    def save(self, path: Path) -> None:
        """Write the graph."""
        self._graph.save(str(path))

    def load(self, path: Path) -> None:
        """Read a graph that `save` wrote; usearch does not check it, so its origin must be known.

        Raises:
            GalleryCorruptError: it does not fit.
        """
        try:
            self._graph.load(str(path))
        except (RuntimeError, ValueError, OSError) as error:
            raise GalleryCorruptError(f"{path}: {error}") from error
        if self._graph.ndim != self._dim:
            raise GalleryCorruptError(f"{path}: {self._graph.ndim} dimensions, not {self._dim}")
        self._graph.expansion_search = self.settings.expansion_search

    def _encode(self, vectors: Array) -> Any:
        return to_int8(vectors) if self.settings.dtype == "i8" else vectors


def scale_of(dim: int) -> float:
    """The factor that maps a component to int8."""
    return float(127 * np.sqrt(dim) / _RANGE)


def to_int8(vectors: Array) -> NDArray[np.int8]:
    """(n, d) float32 unit vectors to (n, d) codes; `codes / scale_of(d)` approximates them."""
    scaled = vectors * np.float32(scale_of(vectors.shape[1]))
    codes: NDArray[np.int8] = np.clip(np.rint(scaled), -127, 127).astype(np.int8)
    return codes
