"""deepface's distances of two embeddings, lower for closer faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError

__all__ = ["distances"]

_SMALL = 1e-10


def distances(known: ArrayLike, probe: ArrayLike, metric: str) -> NDArray[np.float64]:
    """(n,) distances of (n, d) embeddings to one of (d,), rounded to six decimals as deepface does.

    Args:
        metric: `cosine`, `euclidean`, `euclidean_l2` or `angular`.

    Raises:
        UsageError: embeddings of different lengths.
    """
    a, b = np.asarray(known, np.float64), np.asarray(probe, np.float64)
    if a.ndim != 2 or b.shape != a.shape[1:]:
        raise UsageError(f"embeddings of shape {a.shape} can't be compared with {b.shape}")
    if metric != "euclidean":
        a = a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), _SMALL)
        b = b / np.maximum(np.linalg.norm(b), _SMALL)
    if metric in ("euclidean", "euclidean_l2"):
        found = np.linalg.norm(a - b, axis=1)
    else:
        cosines = np.clip(a @ b, -1, 1)
        found = 1 - cosines if metric == "cosine" else np.arccos(cosines) / np.pi
    return np.asarray(np.round(found, 6), np.float64)
