"""The report of a fine-tuning: its rates are those of evaluation, and chance is not a change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faceprint.errors import DatasetError
from faceprint.evaluation.labeled_scores import all_pairs
from faceprint.evaluation.metrics import error_rates, roc, threshold_at_fmr
from faceprint.training.before_after import (
    CONDITIONS,
    Change,
    Comparison,
    change_of,
    compare,
    degraded,
    verdict_of,
)

SUBJECTS = np.repeat(np.arange(30), 4)


def _vectors(noise: float, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    centers = random.normal(size=(30, 24))
    rows = centers[SUBJECTS] + noise * random.normal(size=(len(SUBJECTS), 24))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("noise", [0.9, 1.2])
def test_rates_are_those_of_evaluation(noise: float) -> None:
    vectors = _vectors(noise)
    found = change_of("plain", (vectors, _vectors(1.0, 3)), SUBJECTS)
    scores = all_pairs(vectors, SUBJECTS)
    threshold = threshold_at_fmr(roc(scores.similarities, scores.mated), 0.01)
    rates = error_rates(scores.similarities, scores.mated, threshold)
    assert found.before == pytest.approx(rates.fnmr.observed, abs=1e-9)
    assert found.before_low <= found.before <= found.before_high


def test_the_same_model_has_not_changed() -> None:
    found = change_of("plain", (_vectors(1.0), _vectors(1.0)), SUBJECTS)
    assert (found.low, found.high) == (0, 0)
    assert not found.better
    assert not found.worse


def test_what_is_beyond_chance_is_a_change_and_the_rest_is_not() -> None:
    good, bad = _vectors(0.7), _vectors(1.4)
    assert change_of("plain", (bad, good), SUBJECTS).better
    assert change_of("plain", (good, bad), SUBJECTS).worse
    # Two models of one quality differ on the pairs, but not beyond the interval.
    level = change_of("plain", (_vectors(1.0, 1), _vectors(1.0, 2)), SUBJECTS)
    assert level.low < 0 < level.high


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(DatasetError, match="2 people with 8 photographs have too few pairs"):
        change_of("plain", (_vectors(1.0)[:8], _vectors(1.0)[:8]), SUBJECTS[:8])


def test_each_condition_changes_what_it_says() -> None:
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (2, 112, 112, 3), np.uint8)
    assert degraded(crops, "plain") is crops
    covered = degraded(crops, "covered")
    assert (covered == degraded(crops, "covered")).all()
    changed = (covered != crops).any(axis=(0, 3)).mean(axis=1)
    assert changed[:40].max() == 0  # the eyes are free
    assert changed[85:100].min() > 0.3
    detail = np.abs(np.diff(degraded(crops, "small").astype(int), axis=1)).mean()
    assert detail < 0.2 * np.abs(np.diff(crops.astype(int), axis=1)).mean()


def test_both_models_see_the_same_crops() -> None:
    seen: list[Any] = []

    def embed(crops: Any) -> Any:
        seen.append(crops)
        return _vectors(1.0)

    crops = np.zeros((len(SUBJECTS), 112, 112, 3), np.uint8)
    found = compare("made up", crops, SUBJECTS, (embed, embed))
    assert (found.people, found.photographs) == (30, 120)
    assert [each.condition for each in found.changes] == list(CONDITIONS)
    assert all(seen[i] is seen[i + 1] for i in (0, 2, 4))


def _change(condition: str, low: float, high: float) -> Change:
    return Change(condition, 0.2, 0.1, 0.3, 0.2 + (low + high) / 2, 0.1, 0.3, low, high)


def _comparison(name: str, plain: tuple[float, float], covered: tuple[float, float]) -> Comparison:
    changes = (_change("plain", *plain), _change("covered", *covered))
    return Comparison(name, 9, 40, 0.01, changes)


LEVEL, BETTER, WORSE = (-0.01, 0.01), (-0.05, -0.01), (0.01, 0.05)


@pytest.mark.parametrize(
    ("aim", "comparisons", "improved", "words"),
    [
        ("covered", [("held out", LEVEL, BETTER)], True, "covered, held out: better"),
        ("covered", [("held out", LEVEL, LEVEL)], False, "no improvement that 9 people can show"),
        ("covered", [("held out", WORSE, BETTER)], False, "plain, held out: worse"),
        ("people", [("held out", BETTER, LEVEL)], True, "plain, held out: better"),
        ("people", [("held out", LEVEL, BETTER)], False, "no improvement"),
        (
            "covered",
            [("held out", LEVEL, BETTER), ("LFW", WORSE, BETTER)],
            False,
            "plain, LFW: worse",
        ),
        ("covered", [("held out", LEVEL, LEVEL), ("LFW", LEVEL, BETTER)], False, "no improvement"),
    ],
)
def test_the_verdict(aim: str, comparisons: Any, improved: bool, words: str) -> None:
    found = verdict_of(aim, [_comparison(*each) for each in comparisons])
    assert found[0] is improved
    assert words in found[1]
