"""Score maps are checked on people that they were not fitted to."""

from __future__ import annotations

import numpy as np

from faceprint.evaluation.calibrate_data import fit_maps
from faceprint.evaluation.labeled_scores import all_pairs


def test_maps_are_checked_on_people_they_have_not_seen() -> None:
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(160), 3)
    rows = rng.normal(size=(160, 16))[people] + 0.6 * rng.normal(size=(480, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    maps = fit_maps(all_pairs(rows, people))
    assert maps.score_map.kind == "isotonic"
    assert maps.reliability is not None
    assert maps.reliability.error < 0.06
    assert maps.tail.one_in[-1] > 100
    few = fit_maps(all_pairs(rows[:60], people[:60]))
    assert few.score_map.kind == "logistic"
