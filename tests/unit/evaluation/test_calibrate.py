"""Operating points that keep their promise to people who were not measured."""

from __future__ import annotations

import numpy as np
import pytest
from populations import population

from faceprint.errors import UsageError
from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs


def found_fmr(scores: LabeledScores, threshold: float) -> float:
    return float((scores.similarities[~scores.mated] >= threshold).mean())


def test_the_promise_is_kept_on_twenty_other_groups_of_people() -> None:
    kept = {1e-1: 0, 1e-2: 0, 1e-3: 0}
    for seed in range(20):
        points = calibrate(population(300, seed), tuple(kept), replicates=300, seed=seed).points
        assert len(points) == 3
        others = population(300, 1000 + seed)
        for point in points:
            kept[point.fmr] += point.fmr_low <= found_fmr(others, point.threshold) <= point.fmr_high
    assert min(kept.values()) >= 18
    # And it is a promise worth having: half an order of magnitude at one in a hundred.
    assert points[1].fmr_high < 4 * points[1].fmr_low


def test_the_threshold_is_the_lowest_that_keeps_the_target() -> None:
    scores = population(120, 1)
    for point in calibrate(scores, (0.1, 0.01), keep=None, replicates=50).points:
        assert found_fmr(scores, point.threshold) <= point.fmr
        lower = scores.similarities[scores.similarities < np.float32(point.threshold)].max()
        assert found_fmr(scores, float(lower)) > point.fmr
        missed = (scores.similarities[scores.mated] < np.float32(point.threshold)).mean()
        assert point.fnmr.observed == pytest.approx(missed)
        assert point.fmr_low <= point.seen.observed <= point.fmr_high


def test_the_same_seed_gives_the_same_calibration() -> None:
    scores = population(80, 2)
    assert calibrate(scores, seed=3, replicates=60) == calibrate(scores, seed=3, replicates=60)


def test_what_the_data_cannot_show_is_refused_in_words() -> None:
    result = calibrate(population(20, 0), (1e-1, 1e-2, 1e-5), replicates=50)
    assert "FMR 1e-05: 760 non-mated pairs are too few" in result.refused[-1]
    assert all(point.fmr > 1e-5 for point in result.points)
    # Twenty people make ten pairs that share nobody: never a number.
    for point in result.points:
        assert point.fmr_low == 0
        assert point.seen.value is None
        assert "at most" in point.statement
    assert "every FMR here is a bound" in result.summary[1]


def test_one_person_behind_all_errors_is_no_evidence() -> None:
    scores = population(60, 0)
    wolf = (~scores.mated) & ((scores.first == 0) | (scores.second == 0))
    raised = LabeledScores(
        np.where(wolf, 0.999, scores.similarities * 0.5).astype(np.float32),
        scores.mated,
        scores.first,
        scores.second,
    )
    result = calibrate(raised, (wolf.sum() / (~scores.mated).sum(),), replicates=50)
    assert result.points == ()
    assert "only 1 share nobody" in result.refused[0]


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0, 2.0])
def test_targets_that_are_no_rates(target: float) -> None:
    with pytest.raises(UsageError, match="a rate lies between"):
        calibrate(population(20, 0), (target,), replicates=10)


def test_all_pairs_and_a_part_of_them() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    who = np.repeat(np.arange(8), 5)
    every = all_pairs(rows, who)
    assert len(every.mated) == 40 * 39 // 2
    assert every.mated.sum() == 8 * 10
    np.testing.assert_array_equal(every.mated, every.first == every.second)
    assert every.people == 8
    some = all_pairs(rows, who, max_pairs=400)
    assert some.mated.sum() == 80
    assert len(some.mated) <= 400
    np.testing.assert_array_equal(some.mated, some.first == some.second)
    # Each similarity drawn is one of those of the same two people.
    for value, a, b in list(zip(some.similarities, some.first, some.second, strict=True))[::40]:
        theirs = rows[who == a] @ rows[who == b].T
        assert np.abs(theirs - value).min() < 1e-6
    half = every.among(np.arange(8) < 4)
    assert len(half.mated) == 20 * 19 // 2
    with pytest.raises(UsageError, match="do not fit"):
        all_pairs(rows, who[:5])
