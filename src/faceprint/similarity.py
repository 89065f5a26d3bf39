"""Cosine similarity, the measure of closeness for every model."""

from __future__ import annotations

import numpy as np

from faceprint.errors import ModelMismatchError
from faceprint.types import Array, Embedding

__all__ = [
    "compare",
    "normalize",
    "similarity_matrix",
]


def normalize(vectors: Array) -> tuple[Array, Array]:
    """Scale rows to unit length.

    Args:
        vectors: (n, d) float.

    Returns:
        (n, d) float32 unit rows, and (n,) float32 original lengths. A zero row stays zero.

    Raises:
        ValueError: a row holds NaN or infinity.
    """
    rows = np.asarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64)).astype(np.float32)
    if not np.isfinite(norms).all():
        raise ValueError("an embedding holds NaN or infinity")
    return rows / np.maximum(norms, np.finfo(np.float32).tiny)[:, None], norms


def similarity_matrix(probes: Array, gallery: Array) -> Array:
    """(p, d) and (g, d) unit rows to (p, g) cosine similarities."""
    return probes @ gallery.T


def compare(a: Embedding, b: Embedding) -> float:
    """Cosine similarity of two embeddings of the same model, in -1..1.

    Raises:
        ModelMismatchError: the embeddings are of two models.
    """
    if a.model != b.model:
        raise ModelMismatchError(
            f"embeddings of {a.model} and {b.model} do not compare; embed both with one model"
        )
    return float(np.clip(a.vector @ b.vector, -1.0, 1.0))
