"""No operating point states an error rate of another pair of models."""

from __future__ import annotations

from typing import Any

import pytest

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.operating_points import known_points, measured_points
from faceprint.zoo.card import ModelCard
from faceprint.zoo.catalog import all_cards, get_card

CARDS = all_cards()
PAIRS = [
    (detector, embedder)
    for detector in CARDS
    if detector.task == "detect"
    for embedder in CARDS
    if embedder.task == "embed"
]
RATES = (None, 1e-2, 1e-3, 1e-4)


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


def measured_with(embedder: ModelCard) -> set[str]:
    """Read from the card as it is, without the rule under test."""
    return {e.detector for e in embedder.operating_points if e.point.evidence != "published"}


def own_rates(embedder: ModelCard, detector: ModelCard) -> set[tuple[float, float | None]]:
    return {
        (e.point.threshold, e.point.fmr)
        for e in embedder.operating_points
        if e.detector == detector.id
    }


@pytest.mark.parametrize(("detector", "embedder"), PAIRS, ids=[f"{d.id}-{e.id}" for d, e in PAIRS])
def test_no_pair_cites_an_error_rate_of_another(detector: ModelCard, embedder: ModelCard) -> None:
    measured = detector.id in measured_with(embedder)
    assert bool(measured_points(embedder, detector.id)) == measured
    for fmr in RATES:
        try:
            point = known_points(embedder, detector.id).choose(fmr)
        except UsageError as error:
            assert "no threshold was measured" in str(error)
            assert not measured
            continue
        if measured:
            assert not point.provisional
            assert (point.threshold, point.fmr) in own_rates(embedder, detector)
            continue
        assert detector.landmarks, "no landmarks, so no threshold of another detector"
        assert point.provisional
        rates = (point.fmr, point.fmr_low, point.fmr_high, point.fnmr)
        assert rates == (None,) * 4
        assert point.measurements == ()
        assert point.source
        if point.evidence == "borrowed":
            assert f"nobody measured {embedder.id} with {detector.id}" in point.source
            assert all(lender in point.source for lender in measured_with(embedder))
            wanted = fmr or 1e-3
            lent = [e.point.threshold for e in embedder.operating_points if e.point.fmr == wanted]
            assert point.threshold == max(lent)
        else:
            assert (point.evidence, fmr) == ("published", None)


def test_some_pairs_are_of_each_kind() -> None:
    kinds = [known_points(embedder, detector.id).evidence for detector, embedder in PAIRS]
    assert {"measured", "copy", "borrowed", "published", None} <= set(kinds)


def test_what_was_measured_on_a_copy_is_not_lent_as_measured() -> None:
    known = known_points(get_card("w600k-mbf"), "retinaface-mnet025")
    assert known.evidence == "borrowed"
    assert known.choose().evidence == "borrowed"


def test_mirror_images_that_the_card_does_not_ask_for_were_not_measured() -> None:
    known = known_points(get_card("mobileface"), "mtcnn", mirrored=True)
    assert known.evidence == "borrowed"
    assert "mobileface with mirror images" in known.choose().source


def test_a_detector_that_nobody_knows_gets_nothing() -> None:
    assert known_points(get_card("dlib-resnet"), "no-such-detector").points == ()
