"""Rows in a mapped file give the same results as rows in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from populations import shuffled_people

from faceprint._mapped import new_rows
from faceprint.recognition.clustering.mapped_rows import group_sums, take_rows


def test_mapped_rows_are_as_rows_in_memory(tmp_path: Path):
    rows = shuffled_people(40, 5)
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
