"""Compare the candidates of an approximate search exactly, with the vectors in the store."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.index.base import Fetch, Hits, Keys
from faceprint.types import Array

__all__ = ["exact_many", "exact_one", "stored"]


def exact_one(fetch: Fetch, probe: Array, keys: Keys, k: int) -> Hits:
    """The k nearest of (n,) candidates of one (d,) probe, in a third of `exact_many`'s time."""
    known, rows = fetch(keys)
    scores = rows @ probe
    best = np.lexsort((known, -scores))[:k]
    hits = Hits.empty(1, k)
    hits.keys[0, : len(best)], hits.similarities[0, : len(best)] = known[best], scores[best]
    return hits


def exact_many(fetch: Fetch, probes: Array, keys: Keys, valid: NDArray[np.bool_], k: int) -> Hits:
    """The k nearest of (p, n) candidates of (p, d) probes; `valid` says which of them count."""
    wanted = np.unique(keys[valid])
    known, rows = fetch(wanted)
    order = np.argsort(known)
    known, rows = known[order], rows[order]
    if not len(known):
        return Hits.empty(len(probes), k)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    # A template that was removed in the meantime is no longer in the store.
    valid = valid & (known[place] == keys)
    scores = np.einsum("pd,pkd->pk", probes, rows[place]).astype(np.float32)
    scores = np.where(valid, scores, np.float32(-np.inf))
    keys = np.where(valid, keys, -1)
    best = np.lexsort((keys, -scores), axis=1)[:, :k]
    return Hits(np.take_along_axis(keys, best, 1), np.take_along_axis(scores, best, 1))


def stored(fetch: Fetch, keys: Keys) -> Array:
    """(n,) known keys to their (n, d) float32 vectors."""
    known, rows = fetch(np.unique(keys))
    order = np.argsort(known)
    picked: Array = rows[order][np.searchsorted(known[order], keys)]
    return picked
