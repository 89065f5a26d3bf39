"""Thresholds that other people keep, over one and several data sets, and error rates by group."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.errors import UsageError
from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs
from faceprint.evaluation.person_bootstrap import rate_by_person
from faceprint.evaluation.resampled_scores import ResampledScores


def population(people: int, seed: int, closer: float = 0.0) -> LabeledScores:
    """Two pictures of each person on a sphere; `closer` draws all people together."""
    rng, d = np.random.default_rng(seed), 16
    centers = rng.normal(size=(people, d)) + closer
    rows = np.repeat(centers, 2, axis=0) + 0.4 * rng.normal(size=(2 * people, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return all_pairs(rows, np.repeat(np.arange(people), 2))


def found_fmr(scores: LabeledScores, threshold: float) -> float:
    return float((scores.similarities[~scores.mated] >= threshold).mean())


def test_other_people_keep_the_rate_in_nine_of_ten_cases() -> None:
    kept = {None: 0, 0.9: 0}
    for seed in range(30):
        data = ResampledScores.of(population(150, seed), replicates=200, seed=seed)
        others = population(150, 500 + seed)
        for keep in kept:
            threshold = data.threshold_for(1e-2, keep)
            assert isinstance(threshold, float)
            kept[keep] += found_fmr(others, threshold) <= 1e-2
    assert kept[0.9] >= 25
    # The rate seen on the people at hand is kept by about half of all other people.
    assert 5 <= kept[None] <= 22


def test_the_data_set_that_needs_the_highest_threshold_decides() -> None:
    apart, alike = population(150, 1), population(150, 2, closer=0.3)
    together = calibrate({"apart": apart, "alike": alike}, (1e-2,), replicates=100).points[0]
    alone = {
        name: calibrate(scores, (1e-2,), replicates=100).points[0].threshold
        for name, scores in (("apart", apart), ("alike", alike))
    }
    assert together.threshold == alone["alike"] > alone["apart"]
    assert together.rates[together.decided_by].data_set == "alike"
    point = together.operating_point("x", "y")
    assert [each.data_set for each in point.measurements] == ["apart", "alike"]
    for each, scores in zip(point.measurements, (apart, alike), strict=True):
        assert each.fmr == pytest.approx(found_fmr(scores, point.threshold))
        missed = scores.similarities[scores.mated] < point.threshold
        assert each.fnmr == pytest.approx(missed.mean())
    # The point carries the interval and the FNMR of the data set where each is worst.
    assert point.fmr_high == point.measurements[1].fmr_high
    assert point.fnmr == max(each.fnmr or 0 for each in point.measurements)
    assert "on apart, " in together.statement


def test_a_data_set_too_small_for_a_target_takes_no_part_and_says_so() -> None:
    few, many = population(12, 1), population(200, 2)
    found = calibrate({"few": few, "many": many}, (1e-2, 1e-3), replicates=100)
    assert [each.data_set for each in found.points[1].rates] == ["many"]
    assert found.left_out[-1].startswith("few: FMR 0.001: 264 non-mated pairs are too few")
    assert found.refused == ()
    nobody = calibrate({"few": few}, (1e-3,), replicates=100)
    assert nobody.points == ()
    assert nobody.refused[0].startswith("few: FMR 0.001")
    with pytest.raises(UsageError, match="no data set"):
        calibrate({}, (1e-2,))


@pytest.mark.parametrize("keep", [0.0, 1.0, 2.0])
def test_how_sure_to_be_is_a_probability(keep: float) -> None:
    with pytest.raises(UsageError, match="lies between 0 and 1"):
        calibrate(population(60, 0), (1e-1,), keep=keep, replicates=20)


def test_each_person_counts_once_in_the_rate_by_person() -> None:
    # Ada misses 1 of 2, Bo 0 of 1, Cy 3 of 3: (1/2 + 0 + 1) / 3; of all pairs it is 4 in 6.
    people = np.asarray([7, 7, 2, 9, 9, 9])
    wrong = np.asarray([True, False, False, True, True, True])
    assert rate_by_person(wrong, people) == pytest.approx(0.5)
    assert np.isnan(rate_by_person(wrong[:0], people[:0]))


def test_the_highest_group_stands_beside_the_pooled_rate() -> None:
    rng, people = np.random.default_rng(0), 120
    labels = np.asarray(["women", "men", ""])[np.arange(people) % 3]
    first, second = np.triu_indices(people, 1)
    similarities = rng.uniform(0, 0.8, len(first))
    women = (labels[first] == "women") & (labels[second] == "women")
    chosen = rng.permutation(np.flatnonzero(women))[:60]
    similarities[chosen] = 0.95
    mated = np.zeros(len(first) + people, np.bool_)
    mated[len(first) :] = True
    both = np.arange(people)
    scores = LabeledScores(
        np.concatenate([similarities, np.full(people, 0.99)]),
        mated,
        np.concatenate([first, both]).astype(np.int32),
        np.concatenate([second, both]).astype(np.int32),
        labels,
    )
    rates = ResampledScores.of(scores, replicates=50).rates_at(0.9, 1e-2)
    assert rates.fmr.observed == pytest.approx(60 / (120 * 119 / 2))
    found = {each.group: each for each in rates.groups}
    assert list(found) == ["two men", "two women", "across groups"]
    assert found["two women"].fmr.observed == pytest.approx(60 / (40 * 39 / 2))
    assert found["two men"].fmr.errors == 0
    assert found["across groups"].fmr.trials == 40 * 40
    assert rates.measurement().group == "two women"
    assert rates.measurement().group_fmr == pytest.approx(60 / 780)
    # 780 pairs cannot show 1 in 1,000, so no group is named there.
    strict = ResampledScores.of(scores, replicates=50).rates_at(0.9, 1e-3)
    assert strict.measurement().group == ""
