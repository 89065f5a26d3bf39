"""Merge thresholds against densities of the normal distribution."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import strategies as st

from faceprint.recognition.thresholds.merge_threshold import (
    MergeThreshold,
    ScoreDistributions,
    score_distributions,
)
from faceprint.types import Measurement, OperatingPoint

pairs = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=12)


def normal_points(non_mated: NormalDist, mated: NormalDist) -> list[OperatingPoint]:
    thresholds = [non_mated.inv_cdf(1 - fmr) for fmr in (1e-2, 1e-3, 1e-4)]
    return [
        OperatingPoint(t, fmr=f, fnmr=mated.cdf(t))
        for t, f in zip(thresholds, (1e-2, 1e-3, 1e-4), strict=True)
    ]


@pytest.mark.parametrize("spread", [0.05, 0.07, 0.12], ids=["narrower", "alike", "wider"])
def test_two_faces_are_one_person_where_that_is_as_likely_as_not(spread):
    non_mated, mated = NormalDist(0.05, 0.07), NormalDist(0.5, spread)
    known = score_distributions(normal_points(non_mated, mated))
    assert known is not None
    for faces in (5_000, 100_000):
        found = known.merge_threshold(faces)
        two, one = non_mated.pdf(found.pair) * faces / 5, mated.pdf(found.pair)
        assert two == pytest.approx(one, rel=1e-3)
        assert max(found.floor, found.large) < found.pair
    pairs = [known.merge_threshold(faces).pair for faces in (10, 300, 400)]
    assert pairs[0] == pairs[1] < pairs[2], "a small album counts as 300 faces"


def test_of_two_data_sets_the_one_with_more_false_matches_counts():
    easy, hard = NormalDist(0.05, 0.07), NormalDist(0.06, 0.08)
    mated = {"easy": NormalDist(0.6, 0.1), "hard": NormalDist(0.5, 0.12)}
    thresholds = [hard.inv_cdf(1 - rate) for rate in (1e-2, 1e-3, 1e-4)]
    points = [
        OperatingPoint(
            threshold,
            fmr=rate,
            fnmr=mated["hard"].cdf(threshold),
            measurements=tuple(
                Measurement(name, 1 - others.cdf(threshold), fnmr=mated[name].cdf(threshold))
                for name, others in (("easy", easy), ("hard", hard))
            ),
        )
        for threshold, rate in zip(thresholds, (1e-2, 1e-3, 1e-4), strict=True)
    ]
    known = score_distributions(points)
    assert known is not None
    assert (known.non_mated_mean, known.non_mated_std) == pytest.approx((0.06, 0.08), rel=1e-6)
    assert known.non_mated_mean + known.non_mated_std * known.mated_mean == pytest.approx(
        0.5, rel=1e-6
    )
    assert known.non_mated_std * known.mated_std == pytest.approx(0.12, rel=1e-6)
    # The rates of the headline are of both, or of another data set than the FMR's: not a fit.
    mixed = [replace(point, fnmr=0.4) for point in points]
    assert score_distributions(mixed) == known
    bare = [replace(point, measurements=(Measurement("easy", 0.0),)) for point in points]
    assert score_distributions(bare) == score_distributions(
        [replace(point, measurements=()) for point in points]
    ), "rates that lead to no fit leave the point's own"


def test_faces_of_one_photograph_may_be_one_person_when_as_alike_as_photographs_of_one_are():
    assert MergeThreshold.constant(0.5).same_photo == pytest.approx(0.5 + 0.5 / 3)
    for usual, expected in ((0.7, 0.7), (0.9, 0.75), (0.45, 0.625)):
        assert MergeThreshold(0.5, 0.4, 0.3, typical_mated=usual).same_photo == pytest.approx(
            expected
        )
    known = ScoreDistributions(0.0, 0.1, 6.0, 1.0)
    found = known.merge_threshold(100).typical_mated
    assert found == pytest.approx(0.5), "one standard deviation below the mean"


def test_what_is_demanded_falls_with_the_number_of_photographs():
    threshold = MergeThreshold(0.5, 0.3, 0.2)
    sizes = np.array([1, 4, 1_000_000], np.float32)
    assert threshold.for_sizes(sizes, sizes) == pytest.approx([0.5, 0.35, 0.3], abs=1e-5)
    assert set(MergeThreshold.constant(0.4).for_sizes(sizes, sizes)) == {np.float32(0.4)}


def test_points_that_say_nothing_of_one_person_lead_to_no_distribution():
    assert score_distributions([]) is None
    assert (
        score_distributions([OperatingPoint(0.3, fmr=1e-2), OperatingPoint(0.4, fmr=1e-3)]) is None
    )
    flat = [OperatingPoint(t, fmr=f, fnmr=0.02) for t, f in ((0.3, 1e-2), (0.4, 1e-3))]
    assert score_distributions(flat) is None
    falling = [OperatingPoint(t, fmr=f, fnmr=0.1) for t, f in ((0.4, 1e-2), (0.3, 1e-3))]
    assert score_distributions(falling) is None
