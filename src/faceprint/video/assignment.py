"""The best pairs between two sets: maximum weight matching by shortest augmenting paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array

__all__ = ["best_pairs"]


def best_pairs(values: Array) -> list[tuple[int, int]]:
    """The pairs (row, column) with the largest sum of values; no row or column occurs twice.

    Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
    assignment problems" (1987), without their initialization.

    Args:
        values: (m, n); pairs whose value is not positive are never chosen.
    """
    costs = -np.maximum(np.asarray(values, np.float64), 0.0)
    if not costs.size:
        return []
    flipped = costs.shape[0] > costs.shape[1]
    owners = _assign(costs.T if flipped else costs)
    pairs = [(int(row), column) for column, row in enumerate(owners) if row >= 0]
    if flipped:
        pairs = [(column, row) for row, column in pairs]
    return sorted((row, column) for row, column in pairs if values[row, column] > 0)


def _assign(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """The row of each column, -1 for none, when every row gets one; m <= n."""
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1, np.intp)
    for start in range(rows):
        length = np.full(columns, np.inf)
        via = np.full(columns, -1, np.intp)
        settled = np.zeros(columns, bool)
        row, column, reached = start, -1, 0.0
        while True:
            through = reached + costs[row] - row_price[row] - column_price
            shorter = ~settled & (through < length)
            length[shorter], via[shorter] = through[shorter], column
            column = int(np.argmin(np.where(settled, np.inf, length)))
            reached = float(length[column])
            if owner[column] < 0:
                break
            settled[column] = True
            row = int(owner[column])
        saved = reached - length[settled]
        column_price[settled] -= saved
        row_price[owner[settled]] += saved
        row_price[start] += reached
        while column >= 0:
            before = int(via[column])
            owner[column] = start if before < 0 else owner[before]
            column = before
    return owner
