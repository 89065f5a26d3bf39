"""The mixture of two normal distributions, on samples drawn from one."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.recognition.clustering.mixture import fit_mixture


def test_a_mixture_of_two_normals_is_told_apart():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0.1, 0.07, 9_000), rng.normal(0.6, 0.1, 1_000)])
    found = fit_mixture(scores.astype(np.float32))
    assert (found.non_mated_mean, found.non_mated_std) == pytest.approx((0.1, 0.07), abs=0.005)
    assert (found.mated_mean, found.mated_std) == pytest.approx((0.6, 0.1), abs=0.01)
    assert found.mated_share == pytest.approx(0.1, abs=0.005)


def test_a_long_tail_of_two_people_is_nobody():
    # 500,000 pairs of which one in 300 is in a second, wider slope; no similarity stands out.
    rng = np.random.default_rng(0)
    scores = rng.normal(0.02, 0.07, 500_000).astype(np.float32)
    scores[:1_700] = 0.02 + np.abs(rng.normal(0.13, 0.08, 1_700))
    scores[-1] = 0.99
    with np.errstate(invalid="raise"):
        found = fit_mixture(scores)
    assert found.mated_share * len(scores) < 1_000 / 4  # the pairs of 1,000 faces
    assert found.non_mated_mean == pytest.approx(0.02, abs=0.005)
