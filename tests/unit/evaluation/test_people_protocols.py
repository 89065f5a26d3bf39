"""Open-set identification: who is enrolled."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.errors import DatasetError
from faceprint.evaluation.people_protocols import split_open_set


def test_an_open_set_enrolls_half_of_those_with_two_pictures() -> None:
    subjects = np.asarray([0, 0, 1, 1, 1, 2, 3, 3, 4, 4])
    found = np.asarray([False, True] + [True] * 8)
    gallery, probes = split_open_set(subjects, found)
    assert len(gallery) == 2
    assert set(subjects[gallery]) <= {0, 1, 3, 4}
    assert found[gallery].all()
    assert sorted([*gallery, *probes]) == list(range(10))
    again, _ = split_open_set(subjects, found)
    assert np.array_equal(gallery, again)
    with pytest.raises(DatasetError, match="two people or more"):
        split_open_set(np.asarray([0, 0, 1]), np.ones(3, bool))
