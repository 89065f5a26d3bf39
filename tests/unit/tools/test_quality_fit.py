"""How a measure of quality is chosen and judged, on samples made by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

from degradation import KINDS, degrade
from quality_fit import (
    choose,
    error_discard,
    poor_centers,
    rates,
    scores,
    threshold_at,
)
from quality_sample import Sample


def sample(rows: list[tuple[str, str, list[float]]]) -> Sample:
    """(person, kind, vector) rows of one data set."""
    n = len(rows)
    vectors = np.asarray([row[2] for row in rows], np.float32)
    return Sample(
        data_set=np.full(n, "toy"),
        person=np.asarray([row[0] for row in rows]),
        kind=np.asarray([row[1] for row in rows]),
        photo=np.asarray([str(index) for index in range(n)]),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        norms=np.ones(n, np.float32),
        crop=np.ones(n, np.float32),
        size=np.ones(n, np.float32),
        sharpness=np.ones(n, np.float32),
        jobs=n,
    )


def test_area_by_hand() -> None:
    # Ten comparisons, the three wrong ones the poorest: gone after 30 %. Steps of a tenth, each
    # held for ten of the curve's points: rates 3/10, 2/9, 1/8, 0 of the first.
    errors = np.asarray([True] * 3 + [False] * 7)
    curve = [1.0] * 10 + [2 / 9 / 0.3] * 10 + [1 / 8 / 0.3] * 10 + [0.0]
    expected = (sum(curve) - (curve[0] + curve[-1]) / 2) / 30
    assert error_discard(errors, np.arange(10.0)) == pytest.approx(expected)
    assert error_discard(errors[::-1], np.arange(10.0)) > 1
    assert error_discard(np.zeros(5, bool), np.arange(5.0)) == 1


def test_rates_by_hand() -> None:
    """Two strangers whose degraded faces look alike, and a third whose do not."""
    faces = sample(
        [
            ("a", "", [1, 0, 0, 0]),
            ("a", "", [1, 0.1, 0, 0]),
            ("a", "blur", [0, 0, 0, 1]),
            ("b", "blur", [0, 0, 0.1, 1]),
            ("c", "blur", [0, 1, 0, 0]),
        ]
    )
    score = np.asarray([1.0, 0.4, 0.1, 0.2, 0.9])
    free = rates(faces, score, -np.inf, 0.9)
    # Of six ordered pairs among a, b and c, a-b and b-a match.
    assert free.taken[""] == pytest.approx(2 / 6) == free.taken["blur"]
    assert free.fmr == pytest.approx(1 / 3) and free.kept == 1
    half = rates(faces, score, 0.15, 0.9)
    # a can't be enrolled; b and c are, and a, where it would match b, is refused.
    assert half.taken[""] == 0 and half.kept == pytest.approx(2 / 3)
    strict = rates(faces, score, 0.5, 0.9)
    assert strict.refused == {"toy": 0.5} and strict.refused_mates == {"toy": 1.0}


def test_threshold_is_the_worst_data_sets() -> None:
    rng = np.random.default_rng(3)
    rows = [(str(index), "", list(rng.normal(size=8))) for index in range(60)]
    wide = sample(rows)
    alike = sample([(name, "", list(np.asarray(v) + 2)) for name, _, v in rows])
    both = Sample(
        **{
            name: np.concatenate([getattr(wide, name), getattr(alike, name)])
            for name in ("person", "kind", "photo", "vectors", "norms", "crop", "size", "sharpness")
        },
        data_set=np.asarray(["wide"] * 60 + ["alike"] * 60),
        jobs=120,
    )
    similar = alike.vectors @ alike.vectors.T
    expected = np.quantile(similar[np.triu_indices(60, 1)], 0.99)
    assert threshold_at(both, 0.01) == pytest.approx(expected)


def crowd() -> Sample:
    """People in 16 dimensions; their degraded faces lean, more or less, to one direction."""
    rng = np.random.default_rng(5)
    rows: list[tuple[str, str, list[float]]] = []
    for person in range(300):
        face = rng.normal(size=16)
        face /= np.linalg.norm(face)
        rows += [(f"p{person}", "", list(face + 0.1 * rng.normal(size=16))) for _ in range(2)]
        lean = rng.uniform(0, 3)
        rows.append((f"p{person}", "blur", list(face + lean * np.eye(16)[0])))
    return sample(rows)


def test_a_center_is_what_poor_faces_have_in_common() -> None:
    centers = poor_centers(crowd())
    # Eight centers share the cap around the direction that degradation leans to.
    assert (centers @ np.eye(16, dtype=np.float32)[0]).min() > 0.8


def test_the_chosen_limit_keeps_the_asked_rate_on_other_people() -> None:
    faces = crowd()
    measure = choose(faces.pick(faces.half), "a test")
    other = faces.pick(~faces.half)
    limit = measure.knots[1][0]
    assert [value for _, value in measure.knots] == [0.0, 0.5, 1.0]
    threshold = threshold_at(other, 0.01)
    score = scores(other, measure)
    without = rates(other, score, -np.inf, threshold)
    kept = rates(other, score, limit, threshold)
    assert without.taken[""] > 0.1
    assert kept.taken[""] < 0.02 and kept.refused["toy"] < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_degradations_are_drawn_and_repeatable(kind: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (200, 160, 3)).astype(np.uint8)
    box = np.asarray((40, 50, 120, 150), np.float32)
    one, again, other = (
        degrade(image, box, kind, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.dtype == np.uint8 and one.ndim == 3
    np.testing.assert_array_equal(one, again)
    assert one.shape != other.shape or (one != other).any()
    assert one.shape != image.shape or (one != image).any()
