"""The default threshold rule, on packaged cards and saved calibrations."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.default_threshold import decide_by
from faceprint.recognition.thresholds.fpir import search_point
from faceprint.recognition.thresholds.operating_points import known_points
from faceprint.recognition.thresholds.saved_calibrations import keep_calibration, model_hashes
from faceprint.types import OperatingPoint
from faceprint.zoo import packs
from faceprint.zoo.card import CardOperatingPoint
from faceprint.zoo.catalog import get_card


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("name", [pack.name for pack in packs.all_packs()])
def test_every_pack_decides(name: str) -> None:
    pack = packs.get_pack(name)
    point = decide_by(analyzer(pack.embedder, pack.detector)).point
    assert -1 < point.threshold < 1
    wanted = {
        "starter": ("measured", None),
        "mobileface": ("measured", None),
        "edgeface": ("copy", None),
        "buffalo-s": ("borrowed", None),
        "arcface": ("published", 0.5),
        "arcface-int8": ("published", 0.5),
        "sface": ("published", 0.363),
        "buffalo-l": ("published", 0.28),
    }
    evidence, threshold = wanted[name]
    assert point.evidence in (evidence, "copy" if name == "buffalo-s" else evidence)
    assert threshold in (None, point.threshold)
    search_point(known_points(get_card(pack.embedder), pack.detector), 1)


@pytest.mark.parametrize("embedder", ["dlib-resnet", "sface", "w600k-mbf"])
def test_a_detector_without_landmarks_is_told_what_to_do(embedder: str) -> None:
    with pytest.raises(UsageError, match="gives no landmarks") as caught:
        decide_by(analyzer(embedder, "ultraface-rfb-320"))
    assert "--threshold" in str(caught.value)
    assert "faceprint calibrate" in str(caught.value)
    given = decide_by(analyzer(embedder, "ultraface-rfb-320"), threshold=0.0).point
    assert (given.threshold, given.evidence) == (0.0, "given")


def test_a_pair_without_landmarks_that_was_measured_itself_decides() -> None:
    point = OperatingPoint(0.7, 1e-3, source="a test")
    card = replace(
        get_card("sface"), operating_points=(CardOperatingPoint("ultraface-rfb-320", point),)
    )
    assert known_points(card, "ultraface-rfb-320").choose() == point
    # It lends to nobody: aligned from the box, the same model has other similarities.
    with pytest.raises(UsageError, match="no threshold was measured"):
        known_points(card, "mtcnn").choose()


def analyzer(embedder: str, detector: str) -> Any:
    return SimpleNamespace(
        embedder_card=get_card(embedder), detector_card=get_card(detector), mirror=False, name="x"
    )


def calibrate(name: str, models: Any, *rates: float) -> None:
    points = tuple(OperatingPoint(0.6, rate, 0.0, 2 * rate, 0.1, name) for rate in rates)
    keep_calibration(
        CalibrationFile(name, "x", model_hashes(models), points, details=({},) * len(points))
    )


@pytest.mark.parametrize(
    ("embedder", "detector", "before"),
    [
        ("sface", "yunet-2023mar", "published"),
        ("mobileface", "scrfd-500m", "borrowed"),
        ("mobileface", "ultraface-rfb-320", None),
    ],
)
@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_a_calibration_replaces_what_nobody_measured(
    embedder: str, detector: str, before: str | None, rate: float
) -> None:
    models = analyzer(embedder, detector)
    if before is not None:
        assert decide_by(models).point.evidence == before
    calibrate("mine", models, rate)
    decision = decide_by(models)
    assert (decision.point.evidence, decision.point.fmr) == ("calibrated", rate)
    assert decision.calibration is not None
    assert not decision.point.provisional
    calibrate("other", models, rate)
    with pytest.raises(UsageError, match="say which: mine, other"):
        decide_by(models)


def test_a_calibration_does_not_replace_what_was_measured() -> None:
    models = analyzer("mobileface", "mtcnn")
    calibrate("mine", models, 1e-3)
    assert decide_by(models).point.evidence == "measured"
