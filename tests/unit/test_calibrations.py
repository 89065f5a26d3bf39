"""Calibrations by name, which of them decides, and published figures beside measured ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from faceprint.errors import DatasetError, ModelMismatchError, UsageError
from faceprint.evaluation.calibrate_data import fit_maps
from faceprint.evaluation.labeled_scores import all_pairs
from faceprint.evaluation.people_protocols import split_open_set
from faceprint.evaluation.result import About, verification_result
from faceprint.evaluation.validate import compare_published, data_set_name
from faceprint.recognition.json_reader import JsonReader
from faceprint.recognition.thresholds.calibration_file import CalibrationFile, load_calibration
from faceprint.recognition.thresholds.calibrations import (
    calibration_for,
    decide_by,
    fitting_calibrations,
    keep_calibration,
    model_hashes,
    named_calibration,
)
from faceprint.types import OperatingPoint
from faceprint.zoo.card import PublishedFigure
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
        named_calibration("door")
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
        assert fitting_calibrations(other) == ()


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
    assert [c.name for c in fitting_calibrations(other)] == ["crops"]
    with pytest.raises(DatasetError):
        named_calibration("bad")


def test_maps_are_checked_on_people_they_have_not_seen() -> None:
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(160), 3)
    rows = rng.normal(size=(160, 16))[people] + 0.6 * rng.normal(size=(480, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    maps = fit_maps(all_pairs(rows, people))
    assert maps.score_map.kind == "isotonic"
    assert maps.reliability is not None
    assert maps.reliability.error < 0.06
    assert maps.tail.one_in[-1] > 100
    few = fit_maps(all_pairs(rows[:60], people[:60]))
    assert few.score_map.kind == "logistic"


def test_an_open_set_enrolls_half_of_those_with_two_pictures() -> None:
    subjects = np.asarray([0, 0, 1, 1, 1, 2, 3, 3, 4, 4])
    found = np.asarray([False, True] + [True] * 8)
    gallery, probes = split_open_set(subjects, found)
    assert len(gallery) == 2
    assert set(subjects[gallery]) <= {0, 1, 3, 4}
    assert found[gallery].all()
    assert sorted([*gallery, *probes]) == list(range(10))
    again, _ = split_open_set(subjects, found)
    assert np.array_equal(gallery, again)
    with pytest.raises(DatasetError, match="two people or more"):
        split_open_set(np.asarray([0, 0, 1]), np.ones(3, bool))


@pytest.mark.parametrize(
    ("value", "agrees"), [(0.98, True), (0.995, False), (0.93, False), (0.9512, True)]
)
def test_published_figures_agree_inside_the_interval(value: float, agrees: bool) -> None:
    from faceprint.evaluation.fold_accuracy import fold_accuracy

    mated = np.tile([True] * 25 + [False] * 25, 4)
    similarities = np.where(mated, 0.9, 0.1)
    similarities[:6] = 0.0  # 6 of 200 wrong: 0.97, by Wilson 0.936 to 0.986
    accuracy = fold_accuracy(2 - 2 * similarities, mated, 4)
    result = verification_result(
        similarities, mated, About("lfw", "lfw", "starter"), accuracy=accuracy
    )
    figures = (
        PublishedFigure("LFW, 6,000 pairs", "accuracy", value, "paper"),
        PublishedFigure("CFP-FP", "accuracy", 0.5, "paper"),
        PublishedFigure("LFW", "rank-1", 0.5, "paper"),
    )
    found = compare_published(figures, result, data_set_name("lfw"))
    assert [c.agrees for c in found] == [agrees, None, None]
    assert found[0].low == pytest.approx(0.9361, abs=1e-4)
    assert found[0].high == pytest.approx(0.9862, abs=1e-4)
    assert data_set_name("cfp_fp") == "CFP-FP"
    assert data_set_name("agedb_30") == "AgeDB-30"
    assert data_set_name("ours") == "ours"


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1", "Infinity", "NaN"])
def test_a_number_that_no_measurement_gives_is_refused(number: str, tmp_path: Path) -> None:
    path = tmp_path / "office.json"
    path.write_text(f'{{"pairs": [{number}]}}')
    with pytest.raises(DatasetError, match="pairs is"):
        JsonReader(path).numbers(json.loads(path.read_text()), "pairs", 0, math.inf)


def test_a_file_nested_without_end_is_no_calibration(tmp_path: Path) -> None:
    path = tmp_path / "office.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DatasetError, match="not JSON"):
        load_calibration(path)
