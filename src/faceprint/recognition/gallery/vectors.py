"""Vectors as little-endian float32 bytes, checked whenever they are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.types import Array

__all__ = ["MAX_DIM", "pack", "unpack"]

MAX_DIM = 4096
_UNIT = 1e-3
"""Tolerance of a stored vector's length; float32 rounding stays below 1e-6."""


def pack(vector: Array) -> bytes:
    """(d,) unit vector to 4 d bytes.

    Raises:
        ValueError: not a finite vector of unit length.
    """
    row = np.ascontiguousarray(vector, "<f4")
    if row.ndim != 1 or not abs(float(np.linalg.norm(row)) - 1.0) <= _UNIT:
        raise ValueError("not a finite vector of unit length")
    return row.tobytes()


def unpack(blobs: Sequence[bytes], dim: int, where: str) -> Array:
    """Stored blobs to (n, dim) float32.

    Raises:
        GalleryCorruptError: a blob of another size, or a vector with NaN, infinity or a length that
            is not 1.
    """
    wrong = next((blob for blob in blobs if len(blob) != 4 * dim), None)
    if wrong is not None:
        raise GalleryCorruptError(
            f"{where}: a vector of {len(wrong)} bytes instead of {4 * dim}; the gallery is damaged "
            "or was tampered with"
        )
    rows = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), dim)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    # Written so that NaN, which compares false, counts as wrong.
    if not (np.abs(lengths - 1.0) <= _UNIT).all():
        raise GalleryCorruptError(
            f"{where}: a vector that is not finite or not of unit length; the gallery is damaged "
            "or was tampered with"
        )
    return rows.astype(np.float32, copy=False)
