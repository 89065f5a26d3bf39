"""Calibrations saved by name, and when one of them decides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from faceprint.errors import DatasetError, ModelMismatchError, UsageError
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.default_threshold import decide_by
from faceprint.recognition.thresholds.saved_calibrations import (
    calibration_for,
    keep_calibration,
    matching_calibrations,
    model_hashes,
)
from faceprint.types import OperatingPoint
from faceprint.zoo.catalog import get_card


def starter(**more: Any) -> Any:
    models = {"embedder_card": get_card("dlib-resnet"), "detector_card": get_card("mtcnn")}
    return SimpleNamespace(**({**models, "mirror": False, "name": "starter"} | more))


def kept(name: str, analyzer: Any, fmr: float = 1e-5, threshold: float = 0.97) -> CalibrationFile:
    source = f"calibration {name}"
    point = OperatingPoint(threshold, fmr, 0.0, 2 * fmr, 0.1, name, source, "calibrated")
    calibration = CalibrationFile(name, "starter", model_hashes(analyzer), (point,), details=({},))
    keep_calibration(calibration)
    return calibration


def test_what_was_kept_is_found_by_its_name_and_decides(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no calibration named 'door'; there are: none yet"):
        calibration_for("door", starter())
    saved = kept("door", starter())
    assert calibration_for("door", starter()) == saved
    decision = decide_by(starter(), fmr=1e-5, calibration="door")
    assert (decision.point, decision.calibration) == (saved.points[0], saved)
    assert decide_by(starter(), calibration="door").point == saved.points[0]
    with pytest.raises(UsageError, match=r"at FMR 0\.5; there are: 1e-05"):
        decide_by(starter(), fmr=0.5, calibration="door")
    with pytest.raises(UsageError, match="not both"):
        decide_by(starter(), threshold=0.0, calibration="door")


def test_a_calibration_of_other_models_is_refused(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path))
    kept("door", starter())
    for other in (
        starter(mirror=True),
        starter(detector_card=get_card("yunet-2023mar")),
        starter(embedder_card=get_card("mobileface")),
    ):
        with pytest.raises(ModelMismatchError, match="calibrate again"):
            calibration_for("door", other)
        assert matching_calibrations(other) == ()


def test_the_card_goes_first_and_one_calibration_fills_its_gap(
    monkeypatch: Any, tmp_path: Any
) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no threshold was measured"):
        decide_by(starter(), fmr=1e-5)
    kept("door", starter())
    assert decide_by(starter(), fmr=1e-5).point.threshold == 0.97
    kept("loose", starter(), fmr=1e-3, threshold=0.1)
    own = decide_by(starter(), fmr=1e-3)
    assert own.calibration is None
    assert own.point.threshold > 0.9
    kept("gate", starter(), threshold=0.98)
    with pytest.raises(UsageError, match="say which: door, gate"):
        decide_by(starter(), fmr=1e-5)
    assert decide_by(starter(), threshold=0.0).point.threshold == 0.0


def test_aligned_crops_measure_the_embedder_alone(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path))
    cards = model_hashes(starter(), detector=False)
    keep_calibration(CalibrationFile("crops", "starter", cards, ()))
    other = starter(detector_card=get_card("yunet-2023mar"))
    assert calibration_for("crops", other).name == "crops"
    with pytest.raises(UsageError, match="no operating point"):
        decide_by(other, calibration="crops")
    (tmp_path / "calibrations" / "bad.json").write_text("{}")
    assert [c.name for c in matching_calibrations(other)] == ["crops"]
    with pytest.raises(DatasetError):
        calibration_for("bad", starter())
