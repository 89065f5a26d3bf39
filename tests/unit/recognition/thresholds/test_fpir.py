"""The threshold of a search, against simulation and the normal distribution's own tail."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, photograph
from gallery_kit import card as kit_card
from hypothesis import given
from hypothesis import strategies as st

from faceprint.errors import UsageError
from faceprint.recognition.gallery import Gallery
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.fpir import (
    MAX_EXTRAPOLATION,
    fmr_for_fpir,
    fpir_point,
    search_point,
)
from faceprint.recognition.thresholds.operating_points import known_points
from faceprint.recognition.thresholds.saved_calibrations import keep_calibration, model_hashes
from faceprint.types import OperatingPoint
from faceprint.zoo.card import CardOperatingPoint
from faceprint.zoo.catalog import get_card

IMPOSTORS = NormalDist(0.0, 0.1)


def measured(*rates: float) -> list[OperatingPoint]:
    return [
        OperatingPoint(IMPOSTORS.inv_cdf(1 - rate), rate, rate / 2, rate * 2, source="a test")
        for rate in rates
    ]


def test_a_gallery_of_strangers_shows_the_fpir_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 10, 300):
        fmr = fmr_for_fpir(0.05, size)
        met = (rng.random((20_000, size)) < fmr).any(axis=1).mean()
        assert met == pytest.approx(0.05, abs=0.005)


@given(st.floats(1e-6, 0.5), st.integers(1, 10**9))
def test_fmr_and_fpir_undo_each_other(fpir: float, size: int) -> None:
    # 1 - (1 - FMR)^N, without loss of digits.
    found = -math.expm1(size * math.log1p(-fmr_for_fpir(fpir, size)))
    assert found == pytest.approx(fpir, rel=1e-6)


def test_the_threshold_grows_with_the_gallery_and_with_the_strictness() -> None:
    points = measured(1e-1, 1e-2, 1e-3, 1e-4)
    grown = [fpir_point(points, n, 0.1, model="m").threshold for n in (1, 5, 50, 500, 5000)]
    assert grown == sorted(grown) and grown[0] < grown[-1]
    stricter = [fpir_point(points, 50, f, model="m").threshold for f in (0.3, 0.1, 0.01, 0.001)]
    assert stricter == sorted(stricter) and stricter[0] < stricter[-1]


def test_a_measured_rate_gives_its_own_threshold() -> None:
    points = measured(1e-2, 1e-3, 1e-4)
    fpir = 1 - (1 - 1e-3) ** 20
    point = fpir_point(points, 20, fpir, model="m")
    assert point.threshold == pytest.approx(points[1].threshold)
    assert point.fmr == pytest.approx(1e-3)
    assert point.fmr_high == pytest.approx(2e-3)


def test_between_and_beyond_the_points_it_is_never_looser_than_the_tail_by_much() -> None:
    points = measured(1e-2, 1e-3, 1e-4)
    for size in (2, 7, 30, 90):
        point = fpir_point(points, size, 0.01, model="m")
        assert point.fmr is not None
        true = 1 - IMPOSTORS.cdf(point.threshold)
        # A chord below a concave curve: looser by a little, never by half as much again.
        assert fmr_for_fpir(0.01, size) / true > 0.67
    for size in (150, 1_000, 9_000):
        point = fpir_point(points, size, 0.01, model="m")
        assert 1 - IMPOSTORS.cdf(point.threshold) <= fmr_for_fpir(0.01, size)


def test_an_extrapolated_point_claims_no_rate_and_says_what_was_measured() -> None:
    point = fpir_point(measured(1e-2, 1e-3, 1e-4), 1000, 0.01, model="m")
    assert point.fmr is None
    assert point.fmr_high == pytest.approx(2e-4)
    assert "extrapolated" in point.name and "extrapolated" in point.source


def test_too_far_beyond_the_points_nothing_is_invented() -> None:
    points = measured(1e-2, 1e-3)
    strictest = 1e-3 / MAX_EXTRAPOLATION
    reach = math.floor(math.log1p(-0.01) / math.log1p(-strictest))
    fpir_point(points, reach, 0.01, model="m")
    with pytest.raises(UsageError, match=f"serves {reach} templates"):
        fpir_point(points, reach + 2, 0.01, model="m")
    with pytest.raises(UsageError, match="serves 10 templates"):
        fpir_point(measured(1e-3), 11, 0.01, model="m")
    with pytest.raises(UsageError, match="no operating point was measured for m"):
        fpir_point([OperatingPoint(0.5)], 1, model="m")


def test_looser_than_the_loosest_the_loosest_decides() -> None:
    points = measured(1e-2, 1e-3)
    point = fpir_point(points, 1, 0.5, model="m")
    assert (point.threshold, point.fmr) == (points[0].threshold, 1e-2)


def test_a_stricter_point_with_a_lower_threshold_does_not_loosen_it() -> None:
    points = [OperatingPoint(0.4, 1e-2), OperatingPoint(0.6, 1e-3), OperatingPoint(0.55, 1e-4)]
    assert fpir_point(points, 1, 1e-4, model="m").threshold == pytest.approx(0.6)


@pytest.mark.parametrize("fpir", [0.0, 1.0, -0.1, float("nan")])
def test_an_fpir_that_is_no_rate_is_refused(fpir: float) -> None:
    with pytest.raises(UsageError):
        fmr_for_fpir(fpir, 10)


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


def calibrate(name: str, models: Any, *rates: float) -> None:
    points = tuple(OperatingPoint(0.6, rate, 0.0, 2 * rate, 0.1, name) for rate in rates)
    keep_calibration(
        CalibrationFile(name, "x", model_hashes(models), points, details=({},) * len(points))
    )


def test_a_search_by_borrowed_points_tightens_and_claims_no_rate() -> None:
    known = known_points(get_card("mobileface"), "scrfd-500m")
    few, many = (search_point(known, count, 0.1) for count in (10, 1000))
    assert few.threshold < many.threshold
    for point in (few, many):
        assert (point.evidence, point.fmr, point.fmr_high) == ("borrowed", None, None)
        assert "nobody measured mobileface with scrfd-500m" in point.source
        assert "borrowed from mtcnn and yunet-2023mar" in point.name


def test_a_search_by_a_published_threshold_says_what_it_was_published_for() -> None:
    known = known_points(get_card("sface"), "yunet-2023mar")
    point = search_point(known, 250)
    assert (point.threshold, point.evidence, point.fmr) == (0.363, "published", None)
    assert "published for 1:1, not measured for a search among 250 templates" in point.name
    with pytest.raises(UsageError, match="an FPIR needs measured false match rates"):
        search_point(known, 250, 0.01)


def test_a_gallery_asks_the_same_rule(tmp_path: Any) -> None:
    published = OperatingPoint(0.4, name="published", source="s", evidence="published")
    model = replace(kit_card(), operating_points=(CardOperatingPoint("", published),))
    fake = FakeAnalyzer(model)
    with Gallery.open(tmp_path / "g.db", fake) as gallery:
        gallery.enroll("ada", photograph(tmp_path, "ada/1"))
        assert gallery.operating_point().provisional
        with pytest.raises(UsageError, match="FPIR"):
            gallery.operating_point(fpir=0.01)
        assert gallery.operating_point(threshold=0.2).evidence == "given"
        landmarks, fake.detector_card = (
            fake.detector_card,
            replace(fake.detector_card, landmarks=False),
        )
        with pytest.raises(UsageError, match="gives no landmarks"):
            gallery.operating_point()
        fake.detector_card = landmarks
        calibrate("mine", fake, 1e-1, 1e-2)
        assert gallery.operating_point(fpir=0.05).evidence == "calibrated"
