"""Arrays that may lie in a file instead of in memory."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from faceprint.arrays import Array

__all__ = ["new_rows"]


def new_rows(shape: tuple[int, int], folder: Path | None) -> Array:
    """Float32 zeros; with a folder, mapped from a new file in it.

    Where the system allows that, the file has no name, so that nothing is left behind.
    """
    if folder is None or not all(shape):
        return np.zeros(shape, np.float32)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".f32", delete=False) as file:
        path = Path(file.name)
    rows = np.memmap(path, np.float32, "w+", shape=shape)
    with contextlib.suppress(OSError):
        path.unlink()
    return rows
