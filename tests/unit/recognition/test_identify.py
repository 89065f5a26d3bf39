"""The similarity of a candidate, where an approximate index misses templates."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from faceprint.recognition.identify import search_subjects
from faceprint.recognition.index.base import Hits, Keys
from faceprint.types import Array

# Templates 0 and 2 belong to subject 7, template 1 to subject 8.
VECTORS = np.asarray([(1.0, 0.0), (0.8, 0.6), (0.6, 0.8)], np.float32)
SUBJECTS = np.asarray([7, 8, 7])


class _Forgetful:
    """Never finds template 0."""

    approximate = True

    def __len__(self) -> int:
        return len(VECTORS)

    def search(self, probes: Array, k: int) -> Hits:
        keys = np.tile(np.asarray([1, 2]), (len(probes), 1))
        return Hits(keys, np.einsum("pd,pkd->pk", probes, VECTORS[keys]))

    def vectors(self, keys: Keys) -> Array:
        return VECTORS[keys]


class _Owners:
    def of(self, templates: Keys) -> Keys:
        return SUBJECTS[templates]

    def members(self, subjects: Keys) -> list[Keys]:
        return [np.flatnonzero(subject == SUBJECTS) for subject in subjects]


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [("max", [(7, 0, 1.0), (8, 1, 0.8)]), ("mean", [(7, 2, 0.8), (8, 1, 0.8)])],
)
def test_a_template_that_was_missed_counts(
    fusion: Literal["max", "mean"], expected: list[tuple[int, int, float]]
) -> None:
    index: Any = _Forgetful()
    (found,) = search_subjects(index, _Owners(), VECTORS[:1], 2, fusion)
    assert [(c.subject, c.template) for c in found] == [(s, t) for s, t, _ in expected]
    assert [c.similarity for c in found] == pytest.approx([value for *_, value in expected])
