"""Rows of numbers that may lie in a file instead of in memory, and what is made from them.

A `numpy.memmap` is read and written like an array while the system keeps in memory what it has room
for. What is derived from a mapped array is mapped in the same folder; from an array, an array.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceprint._mapped import new_rows
from faceprint.types import Array

__all__ = ["folder_of", "group_sums", "slices", "take_rows"]

_NUMBERS = 1 << 23
"""Numbers worked on at a time: 32 MB."""


def folder_of(rows: Array) -> Path | None:
    """Where mapped rows lie; None for an array in memory."""
    if isinstance(rows, np.memmap) and rows.filename is not None:
        return Path(rows.filename).parent
    return None


def slices(rows: Array) -> Iterator[slice]:
    """Some rows at a time, all in the end."""
    step = max(1, _NUMBERS // max(1, rows.shape[1]))
    return (slice(start, min(start + step, len(rows))) for start in range(0, len(rows), step))


def take_rows(rows: Array, chosen: NDArray[np.int64]) -> Array:
    """The chosen (m,) of (n, d) rows; the same object when all are chosen."""
    if len(chosen) == len(rows) and np.array_equal(chosen, np.arange(len(rows))):
        return rows
    if folder_of(rows) is None:
        return rows[chosen]
    taken = new_rows((len(chosen), rows.shape[1]), folder_of(rows))
    for part in slices(taken):
        taken[part] = rows[chosen[part]]
    return taken


def group_sums(rows: Array, groups: NDArray[np.int64], count: int) -> Array:
    """(count, d) sums of the (n, d) rows of each group."""
    sums = new_rows((count, rows.shape[1]), folder_of(rows))
    for part in slices(rows):
        if count == len(rows) and len(groups) == count:
            sums[groups[part]] = rows[part]  # one row per group
        else:
            np.add.at(sums, groups[part], rows[part])
    return sums
