"""Calibration files: what is written is read back, and damaged files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from populations import population

from faceprint.errors import DatasetError, UsageError
from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.calibrate_data import FittedMaps, calibration_file
from faceprint.evaluation.score_map_fit import (
    fit_score_map,
    fit_tail,
    reliability,
)
from faceprint.recognition.thresholds.calibration_file import (
    CalibrationFile,
    load_calibration,
    save_calibration,
)


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
        (("points",), [1], "holds something other than tables"),
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


def test_a_file_nested_without_end_is_no_calibration(tmp_path: Path) -> None:
    path = tmp_path / "office.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DatasetError, match="not JSON"):
        load_calibration(path)
