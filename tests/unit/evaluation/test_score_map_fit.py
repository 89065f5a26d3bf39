"""Score maps and tails, against scikit-learn and known distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import population
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from faceprint.errors import UsageError
from faceprint.evaluation.person_bootstrap import independent_ranks
from faceprint.evaluation.score_map_fit import (
    fit_score_map,
    fit_tail,
    pool_adjacent_violators,
    reliability,
)
from faceprint.recognition.thresholds.score_map import Tail


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
