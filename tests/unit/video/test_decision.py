from __future__ import annotations

import numpy as np
import pytest

from faceprint.types import Embedding, Face, Identification, Match, OperatingPoint, Quality
from faceprint.video.decision import BestFaces, consensus, identify_track


def face(vector: list[float], quality: float = 0.9, norm: float = 1.0) -> Face:
    unit = np.asarray(vector, np.float32)
    return Face(
        np.array([0, 0, 50, 50], np.float32),
        0.99,
        None,
        Quality(50, 100, 0.0, quality),
        Embedding(unit / np.linalg.norm(unit), "m", norm),
    )


def test_the_mean_is_weighted_by_quality() -> None:
    found = consensus([face([1, 0.2, 0], 0.9, 2.0), face([1, -0.2, 0], 0.3, 1.0)], 0.0, 0.5)
    assert found.embedding is not None
    a, b = (face([1, y, 0]).embedding.vector for y in (0.2, -0.2))  # type: ignore[union-attr]
    expected = 0.75 * a + 0.25 * b
    np.testing.assert_allclose(
        found.embedding.vector, expected / np.linalg.norm(expected), atol=1e-6
    )
    assert found.embedding.norm == pytest.approx(1.75)
    assert (len(found.faces), found.rejected, found.reason) == (2, 0, "")


@pytest.mark.parametrize("loose", [0.8, None])
def test_somebody_else_is_left_out_even_with_the_best_quality(loose: float | None) -> None:
    rng = np.random.default_rng(0)
    track = [face([1, *rng.normal(0, 0.1, 3)]) for _ in range(6)]
    other = face([0, 1, 0, 0], 1.0)
    found = consensus([other, *track], 0.0, loose)
    assert found.rejected == 1 and other not in found.faces and len(found.faces) == 6


def test_of_two_who_disagree_the_better_one_stands() -> None:
    better, other = face([1, 0, 0], 0.9), face([0, 1, 0], 0.8)
    found = consensus([better, other], 0.0, 0.5)
    assert found.faces == (better,) and found.rejected == 1


def test_poor_faces_decide_nothing() -> None:
    found = consensus([face([1, 0, 0], 0.3), face([1, 0, 0], 0.2)], 0.5, 0.5)
    assert found.embedding is None and found.reason == "quality 0.30 is below 0.50"
    found = consensus([face([1, 0, 0], 0.6), face([0, 1, 0], 0.2)], 0.5, 0.5)
    assert len(found.faces) == 1 and found.rejected == 0, "a poor face is no outlier"
    assert consensus([], 0.5).reason == "no face was embedded"


def test_all_faces_alike_are_all_used() -> None:
    assert consensus([face([1, 0, 0])] * 5, None, None).rejected == 0


def test_the_best_faces_are_kept_and_not_all_of_one_moment() -> None:
    best = BestFaces()
    assert best.add(0.0, face([1, 0], 0.5))
    assert best.add(0.1, face([1, 0], 0.7)), "better than its neighbor: replaces it"
    assert not best.add(0.15, face([1, 0], 0.6))
    assert [f.quality.value for f in best.faces if f.quality] == [0.7]
    for number in range(100):
        best.add(1.0 + number, face([1, 0], number / 100))
    values = [f.quality.value for f in best.faces if f.quality]
    assert values == [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.9]


def test_the_agreement_is_the_length_of_the_mean() -> None:
    assert consensus([face([1, 0])] * 3, 0.0, 0.5).agreement == pytest.approx(1.0)
    angle = np.deg2rad(20)
    pair = [face([np.cos(angle), y * np.sin(angle)]) for y in (1, -1)]
    assert consensus(pair, 0.0, 0.5).agreement == pytest.approx(np.cos(angle), abs=1e-6)
    assert consensus([], 0.5).agreement == 1.0


def test_faces_that_differ_more_have_to_resemble_the_subject_more() -> None:
    class Ada:
        """Resembles every probe in full."""

        def identify_many(self, _: object, point: OperatingPoint, *, top: int) -> object:
            return [Identification((Match("ada", "1", 1.0, 1),), point.threshold, point)]

    angle = np.deg2rad(20)
    pair = [face([np.cos(angle), y * np.sin(angle)]) for y in (1, -1)]
    for faces, subject in ((pair, None), (pair[:1], "ada")):
        found = consensus(faces, 0.0, 0.5)
        answer = identify_track(Ada(), found, OperatingPoint(0.98))  # type: ignore[arg-type]
        assert answer.subject == subject
        assert answer.candidates[0].similarity == pytest.approx(np.sqrt(found.agreement), abs=1e-6)
