"""Metrics against scikit-learn and scipy, and the honesty of small samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from faceprint.errors import UsageError
from faceprint.evaluation.intervals import measured_rate, upper_bound, wilson
from faceprint.evaluation.labeled_scores import LabeledScores
from faceprint.evaluation.metrics import (
    auc,
    eer,
    error_rates,
    normal_deviate,
    roc,
    tar_at_far,
    threshold_at_fmr,
)
from faceprint.evaluation.person_bootstrap import (
    drawn_people,
    independent_ranks,
    people_of_pairs,
    person_pairs,
    rate_over_people,
    resampled_counts,
)

# Tenths, so that ties within and across the kinds are common.
scored = st.lists(
    st.tuples(st.integers(-10, 10).map(lambda k: k / 10), st.booleans()), min_size=2, max_size=80
).filter(lambda rows: 0 < sum(mated for _, mated in rows) < len(rows))


def split(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray([s for s, _ in rows]), np.asarray([m for _, m in rows])


@given(scored)
@settings(max_examples=300, deadline=None)
def test_curve_and_area_are_those_of_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    scores, mated = split(rows)
    curve = roc(scores, mated)
    fpr, tpr, thresholds = roc_curve(mated, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.fmr, fpr)
    np.testing.assert_allclose(1 - curve.fnmr, tpr)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert auc(curve) == pytest.approx(roc_auc_score(mated, scores))


@given(scored)
@settings(max_examples=200, deadline=None)
def test_equal_error_is_where_the_polygon_meets_the_diagonal(
    rows: list[tuple[float, bool]],
) -> None:
    scores, mated = split(rows)
    fpr, tpr, _ = roc_curve(mated, scores, drop_intermediate=False)
    # Parametrised by the arc, since the ROC has vertical pieces.
    along = np.arange(len(fpr), dtype=float)
    difference = interp1d(along, fpr - (1 - tpr))
    at = brentq(difference, 0, along[-1], xtol=1e-12)
    assert eer(roc(scores, mated)).value == pytest.approx(float(interp1d(along, fpr)(at)), abs=1e-9)


@given(scored, st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_threshold_for_a_rate_is_the_lowest_that_keeps_it(
    rows: list[tuple[float, bool]], target: float
) -> None:
    scores, mated = split(rows)
    threshold = threshold_at_fmr(roc(scores, mated), target)
    others = scores[~mated]
    assert (others >= threshold).mean() <= target + 1e-5
    lower = scores[scores < threshold]
    if len(lower):
        assert (others >= lower.max()).mean() > target - 1e-5


def test_a_pair_on_the_threshold_matches() -> None:
    rates = error_rates([0.5, 0.5, 0.4], [True, False, False], 0.5)
    assert (rates.fmr.errors, rates.fnmr.errors) == (1, 0)
    assert error_rates([0.5], [True], 0.5).fmr.statement == "no trials: nothing can be said"


@pytest.mark.parametrize(
    ("scores", "mated", "told"),
    [
        ([0.1, 0.2], [1, 1], "no non-mated pair"),
        ([0.1, 0.2], [0, 0], "no mated pair"),
        ([0.1, math.nan], [0, 1], "NaN"),
        ([0.1], [0, 1], "one label"),
        ([0.1, 0.2], [0, 2], "neither 0 nor 1"),
    ],
)
def test_scores_that_cannot_be_judged(scores: list[float], mated: list[int], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        roc(scores, mated)


@given(st.integers(1, 500), st.data())
@settings(max_examples=100, deadline=None)
def test_intervals_are_those_of_scipy(trials: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, trials))
    test = stats.binomtest(errors, trials)
    expected = test.proportion_ci(0.95, method="wilson")
    assert wilson(errors, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)
    exact = stats.binomtest(errors, trials, alternative="less").proportion_ci(0.95, method="exact")
    assert upper_bound(errors, trials) == pytest.approx(exact.high, abs=1e-9)


def test_too_few_errors_give_a_bound_and_never_a_number() -> None:
    none = measured_rate(0, 3000)
    assert none.value is None
    assert none.high == pytest.approx(3 / 3000, rel=0.01)  # the rule of 3
    assert none.statement.startswith("at most 0.0998 %")
    assert "rule of 3" in none.statement
    assert measured_rate(29, 10_000).value is None
    assert measured_rate(29, 10_000).low == 0
    assert measured_rate(30, 10_000).value == 0.003  # the rule of 30
    # 40 errors of which only 12 have no person in common are 12 for the rule.
    assert measured_rate(40, 10_000, independent=12).value is None


def test_a_far_that_the_pairs_cannot_show_has_no_tar() -> None:
    rng = np.random.default_rng(1)
    mated = np.arange(3000) < 1500
    scores = rng.normal(0, 1, 3000) + 3 * mated
    curve = roc(scores, mated)
    refused = tar_at_far(curve, 1e-3)
    assert (refused.tar, refused.threshold) == (None, None)
    assert "1,500 non-mated pairs cannot show a FAR of 0.001" in refused.statement
    bounded = tar_at_far(curve, 1e-2)
    assert bounded.fmr is not None
    assert (bounded.fmr.errors, bounded.fmr.value) == (15, None)
    fpr, tpr, _ = roc_curve(mated, scores, drop_intermediate=False)
    assert bounded.tar == pytest.approx(tpr[fpr <= 0.01].max())
    shown = tar_at_far(curve, 0.1)
    assert shown.fmr is not None
    assert shown.fmr.value == 0.1


def test_det_axes_are_normal_quantiles() -> None:
    np.testing.assert_allclose(
        normal_deviate([0.025, 0.5, 0.1587]), stats.norm.ppf([0.025, 0.5, 0.1587]), atol=1e-9
    )
    assert np.isfinite(normal_deviate([0.0, 1.0])).all()


def test_resampled_trials_are_weighted_by_both_people() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 40, 900), rng.integers(0, 40, 900)
    drawn = drawn_people(40, 25, seed=3)
    assert (drawn.sum(axis=0) == 40).all()
    expected = [
        sum(d[a] if a == b else d[a] * d[b] for a, b in zip(first, second, strict=True))
        for d in drawn.T
    ]
    dense = person_pairs(first, second)
    np.testing.assert_allclose(resampled_counts(dense, drawn), expected)
    few = person_pairs(first[:30], second[:30])  # takes the other way through the code
    one = [
        sum(d[a] if a == b else d[a] * d[b] for a, b in zip(first[:30], second[:30], strict=True))
        for d in drawn.T
    ]
    np.testing.assert_allclose(resampled_counts(few, drawn), one)


def test_bootstrap_over_people_is_wider_than_over_pairs() -> None:
    # 200 people, each either always or never confused: 4,000 pairs hold 200 facts, so that the
    # interval is the square root of 20 times as wide.
    person = np.repeat(np.arange(200), 20)
    wrong = np.repeat(np.arange(200) < 60, 20)
    rate = rate_over_people(wrong, person, person, replicates=2000, seed=1)
    assert rate == rate_over_people(wrong, person, person, replicates=2000, seed=1)
    pairs_low, pairs_high = wilson(1200, 4000)
    assert rate.low < 0.3 < rate.high
    wider = (rate.high - rate.low) / (pairs_high - pairs_low)
    assert wider == pytest.approx(math.sqrt(20), rel=0.1)


def test_independent_errors_share_nobody() -> None:
    assert independent_ranks(np.zeros(20, np.int64), np.arange(1, 21), 30).tolist() == [0]
    apart = np.arange(0, 40, 2), np.arange(1, 40, 2)
    assert independent_ranks(*apart, 30).tolist() == list(range(20))
    assert independent_ranks(*apart, 7).tolist() == list(range(7))
    first, second = np.asarray([0, 1, 2, 3, 4, 6]), np.asarray([1, 2, 3, 2, 0, 7])
    assert independent_ranks(first, second, 30).tolist() == [0, 2, 5]


def test_error_rates_over_people() -> None:
    # 100 people with 40 mated pairs each; ten of them never match: 400 misses, ten facts.
    person = np.repeat(np.arange(100), 40)
    scores = np.where(person < 10, 0.1, 0.9)
    mated = np.ones(4000, bool)
    over_pairs = error_rates(scores, mated, 0.5).fnmr
    over_people = error_rates(scores, mated, 0.5, (person, person)).fnmr
    assert over_pairs.value == 0.1
    assert over_people.value is None
    assert over_people.errors == 400
    assert over_people.high > 0.15 > over_pairs.high
    # With a miss in each of 400 different people there is nothing to correct.
    alone = np.arange(4000)
    spread = error_rates(scores, mated, 0.5, (alone, alone)).fnmr
    assert spread.value == 0.1
    assert spread.low == pytest.approx(over_pairs.low, abs=0.003)
    assert spread.high == pytest.approx(over_pairs.high, abs=0.003)


def test_pictures_joined_by_mated_pairs_are_one_person() -> None:
    people = people_of_pairs([0, 1, 3, 0], [1, 2, 4, 3], [True, True, True, False], 6)
    assert people[0] == people[1] == people[2]
    assert people[3] == people[4]
    assert len(set(people.tolist())) == 3


def test_the_interval_of_a_tar_is_over_people_where_they_are_known() -> None:
    # Fifty people with two mated pairs each that match, and one whose sixty pairs all miss. A
    # resample leaves that one out with probability (1 - 1/51)^51, about 0.36, and misses nothing.
    rng = np.random.default_rng(2)
    own = np.concatenate([np.repeat(np.arange(50), 2), np.full(60, 50)])
    a, b = np.triu_indices(51, 1)
    first, second = np.concatenate([own, a]), np.concatenate([own, b])
    mated = np.arange(len(first)) < len(own)
    similarities = np.where(mated, 0.9, rng.uniform(0, 0.5, len(first)))
    similarities[100:160] = 0.05
    curve = roc(similarities, mated)
    pairs = tar_at_far(curve, 0.05)
    scores = LabeledScores(similarities, mated, first.astype(np.int32), second.astype(np.int32))
    people = tar_at_far(curve, 0.05, scores)
    assert people.tar == pairs.tar == pytest.approx(100 / 160)
    low, high = wilson(100, 160)
    assert (pairs.low, pairs.high) == pytest.approx((low, high))
    assert people.high == 1.0
    assert people.low < low - 0.1
    assert people.fmr is not None
    assert people.fmr.errors == int(0.05 * len(a))


def test_the_rate_by_person_stands_beside_the_rate_of_pairs() -> None:
    # Person 0 misses one of four pairs, person 1 the only one.
    similarities = [0.9, 0.9, 0.9, 0.1, 0.1, 0.2]
    mated = [True, True, True, True, True, False]
    people = ([0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 1])
    rates = error_rates(similarities, mated, 0.5, people)
    assert rates.fnmr.observed == pytest.approx(2 / 5)
    assert rates.fnmr_by_person == pytest.approx((1 / 4 + 1) / 2)
    assert error_rates(similarities, mated, 0.5).fnmr_by_person is None
