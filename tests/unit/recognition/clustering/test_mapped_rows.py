"""Rows in a mapped file give the same results as rows in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faceprint._mapped import new_rows
from faceprint.recognition.clustering.mapped_rows import group_sums, take_rows


def people(count: int, each: int, noise: float = 0.6, dim: int = 64, seed: int = 0):
    """Unit rows around centers, in random order."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((count, dim)), each, axis=0)
    rows += noise * rng.standard_normal(rows.shape)
    rows = rng.permutation(rows)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_mapped_rows_are_as_rows_in_memory(tmp_path: Path):
    rows = people(40, 5)
    mapped = new_rows(rows.shape, tmp_path)
    mapped[:] = rows
    chosen = np.array([3, 5, 4, 199])
    np.testing.assert_array_equal(take_rows(mapped, chosen), rows[chosen])
    assert isinstance(take_rows(mapped, chosen), np.memmap)
    assert take_rows(mapped, np.arange(200)) is mapped
    for groups in (np.arange(200)[::-1].copy(), np.arange(200) // 7):
        count = int(groups.max()) + 1
        expected = np.stack([rows[groups == g].sum(axis=0) for g in range(count)])
        for one in (rows, mapped):
            found = group_sums(one, groups, count)
            np.testing.assert_allclose(found, expected, atol=1e-5)
