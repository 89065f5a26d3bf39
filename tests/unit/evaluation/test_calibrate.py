"""Operating points that keep their promise to people who were not measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from faceprint.errors import DatasetError, UsageError
from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.calibrate_data import FittedMaps, calibration_file
from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs
from faceprint.evaluation.person_bootstrap import independent_ranks
from faceprint.evaluation.score_map_fit import (
    fit_score_map,
    fit_tail,
    pool_adjacent_violators,
    reliability,
)
from faceprint.recognition.thresholds.calibration_file import (
    CalibrationFile,
    load_calibration,
    save_calibration,
)
from faceprint.recognition.thresholds.score_map import Tail


def population(people: int, seed: int, each: int = 2, noise: float = 0.45) -> LabeledScores:
    """Faces on a sphere: people around a few kinds, so that some are alike and errors cluster."""
    rng, d = np.random.default_rng(seed), 24
    kinds = np.random.default_rng(99).normal(size=(12, d))  # the same for every group of people
    centers = 0.8 * kinds[rng.integers(0, 12, people)] + rng.normal(size=(people, d))
    rows = np.repeat(centers, each, axis=0) + noise * rng.normal(size=(people * each, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return all_pairs(rows, np.repeat(np.arange(people), each))


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


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 5)), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_isotonic_is_that_of_scikit_learn(rows: list[tuple[float, float]]) -> None:
    values, weights = np.asarray(rows).T
    expected = IsotonicRegression().fit(np.arange(len(values)), values, weights)
    expected = expected.predict(np.arange(len(values)))
    np.testing.assert_allclose(pool_adjacent_violators(values, weights), expected, atol=1e-9)


def test_logistic_is_that_of_scikit_learn() -> None:
    scores = population(150, 5, noise=1.2)
    fitted = fit_score_map(scores.similarities, scores.mated, kind="logistic")
    model = LogisticRegression(C=1e6, class_weight="balanced", tol=1e-10, max_iter=1000)
    model.fit(scores.similarities[:, None].astype(float), scores.mated)
    grid = np.linspace(0.0, 0.8, 9)
    expected = model.predict_proba(grid[:, None])[:, 1]
    least = 3 / (3 + int(scores.mated.sum()))  # what the rule of 3 leaves possible
    np.testing.assert_allclose(fitted.probability(grid), np.maximum(expected, least), atol=0.01)


@pytest.mark.parametrize("kind", ["isotonic", "logistic"])
def test_a_promised_probability_comes_true_for_other_people(kind: str) -> None:
    scores, others = population(250, 6), population(250, 7)
    fitted = fit_score_map(scores.similarities, scores.mated, kind=kind)  # type: ignore[arg-type]
    assert (np.diff(fitted.probability(np.linspace(-1, 1, 500))) >= 0).all()
    found = reliability(fitted, others.similarities, others.mated)
    assert found.error < (0.04 if kind == "isotonic" else 0.08)
    assert sum(found.pairs) == len(others.mated)
    # No certainty beyond what 3 in so many pairs allows.
    top = 1 - 3 / (3 + (~scores.mated).sum())
    assert fitted.probability(1.0) <= top + 1e-12
    assert fitted.probability(-1.0) > 0


def test_another_prior_moves_the_odds() -> None:
    scores = population(150, 8)
    even = fit_score_map(scores.similarities, scores.mated, kind="logistic")
    rare = fit_score_map(scores.similarities, scores.mated, kind="isotonic", prior=0.1)
    halves = fit_score_map(scores.similarities, scores.mated, kind="isotonic")
    p = halves.probability(0.45)
    expected = p * 0.1 / (p * 0.1 + (1 - p) * 0.9)
    assert rare.probability(0.45) == pytest.approx(float(expected), abs=0.03)
    for bad in ({"prior": 0.0}, {"kind": "spline"}):
        with pytest.raises(UsageError):
            fit_score_map(scores.similarities, scores.mated, **bad)  # type: ignore[arg-type]
    assert even.kind == "logistic"


def test_one_in_n_and_no_further() -> None:
    rng = np.random.default_rng(0)
    scores = rng.permutation(100_000) / 100_000  # the share at or above s is 1 - s
    order = np.argsort(-scores)
    people = np.arange(200_000)
    ranks = independent_ranks(people[order], (people[order] + 100_000), 30)
    tail = fit_tail(scores, ranks)
    for similarity, one_in in ((0.5, 2), (0.9, 10), (0.99, 100), (0.999, 1000)):
        answer = tail.answer(similarity)
        assert not answer.beyond
        assert answer.one_in == pytest.approx(one_in, rel=0.06)
        assert answer.statement == f"1 in {answer.one_in:,g} non-mated pairs scores this high"
    far = tail.answer(0.999999)
    assert far.beyond
    assert far.one_in == pytest.approx(100_000 / 30, rel=0.05)
    assert far.statement.startswith("at most 1 in 3,300 ")
    assert "cannot say" in far.statement
    assert tail.answer(-0.5).one_in == 1
    assert fit_tail(scores, ranks[:29]).answer(0.9).beyond
    assert Tail((), ()).answer(0.9).beyond
    same = fit_tail(np.zeros(1000), np.arange(30))
    assert same.answer(0.0).one_in == 1


def kept_file() -> CalibrationFile:
    scores = population(120, 3)
    fitted = fit_score_map(scores.similarities, scores.mated)
    falling = np.sort(scores.similarities[~scores.mated])[::-1]
    return calibration_file(
        "door-2",
        calibrate(scores, (0.1, 0.01, 1e-9), replicates=50),
        pack="starter",
        cards={"dlib-resnet": "ab" * 32},
        provenance={"data": "door", "pictures": 240},
        maps=FittedMaps(
            fitted,
            fit_tail(falling, np.arange(30)),
            reliability(fitted, scores.similarities, scores.mated),
        ),
    )


def test_a_calibration_file_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = kept_file()
    path = tmp_path / "deep" / "door-2.json"
    save_calibration(kept, path)
    assert load_calibration(path) == kept
    assert [p.name for p in path.parent.iterdir()] == ["door-2.json"]
    value = json.loads(path.read_text())
    assert value["points"][0].keys() >= {"fmr", "fmr_low", "fmr_high", "threshold", "fnmr"}
    assert len(value["points"]) == 2
    assert len(value["refused"]) == 1


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        (("format",), "x", "not a calibration of faceprint"),
        (("version",), 2, "this faceprint reads version 1"),
        (("name",), "../up", "not a name"),
        (("pack",), 7, "pack is 7, expected text"),
        (("points", 0, "threshold"), 4.0, "threshold is 4.0"),
        (("points", 0, "threshold"), True, "expected a number"),
        (("points", 0, "fmr_low"), 0.99, "fmr_low is above fmr_high"),
        (("points", 0, "fmr"), None, "fmr is None"),
        (("points",), [1], "holds something that is no table"),
        (("map", "similarities", 0), 0.9, "similarities does not rise"),
        (("map", "kind"), "magic", "kind is 'magic'"),
        (("map", "probabilities"), [0.5], "knots"),
        (("tail", "one_in", 0), "many", "one_in holds 'many'"),
        (("reliability", "pairs"), [], "differ in length"),
        (("cards",), ["a"], "cards is"),
    ],
)
def test_a_file_that_was_tampered_with(
    tmp_path: Path, where: tuple[str | int, ...], value: object, told: str
) -> None:
    path = tmp_path / "c.json"
    save_calibration(kept_file(), path)
    tree = json.loads(path.read_text())
    at = tree
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = value
    path.write_text(json.dumps(tree))
    with pytest.raises(DatasetError, match=told):
        load_calibration(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DatasetError, match="not JSON"):
        load_calibration(tmp_path / "a.json")
    with pytest.raises(DatasetError, match="No such file"):
        load_calibration(tmp_path / "b.json")
    with pytest.raises(UsageError, match="small letters"):
        CalibrationFile("Bad Name", "starter", {}, ())
    odd = CalibrationFile("odd", "starter", {}, (), provenance={"x": float("nan")})
    with pytest.raises(UsageError, match="cannot be written"):
        save_calibration(odd, tmp_path / "odd.json")
    assert not (tmp_path / "odd.json").exists()
