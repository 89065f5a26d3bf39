"""What `doctor` and `calibrate --list` say about this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import CommandLine

from faceprint.cli.installed import installed
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.saved_calibrations import keep_calibration
from faceprint.types import OperatingPoint


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path))
    return tmp_path


def test_saved_calibrations_are_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = CommandLine(capsys)
    assert cli("calibrate", "--list", "--json").json == {"calibrations": []}
    assert "no calibration yet" in cli("calibrate", "--list").err
    point = OperatingPoint(0.5, 1e-3, 5e-4, 1e-3, 0.1)
    cards = {"mtcnn": "0" * 64, "dlib-resnet": "1" * 64}
    made = CalibrationFile("door", "starter", cards, (point,), provenance={"date": "2026-01-31"})
    file = keep_calibration(made)
    file.with_name("bad.json").write_text("{")
    bad, door = cli("calibrate", "--list", "--json").json["calibrations"]
    assert door == {
        "name": "door",
        "date": "2026-01-31",
        "pack": "starter",
        "models": ["mtcnn", "dlib-resnet"],
        "points": [{"fmr": 1e-3, "threshold": 0.5}],
    }
    assert bad["name"] == "bad" and "damaged" in bad["error"]
    said = cli("calibrate", "--list")
    assert "door" in said.out and "2026-01-31" in said.out and "bad" in said.err
    assert cli("calibrate", code=2).out == ""
    assert "did you mean door" in cli("verify", "a", "b", "--calibration", "dor", code=2).err


def test_what_is_here_is_named(home: Path) -> None:
    (home / "cards").mkdir()
    (home / "cards" / "mine.toml").write_text("id =")
    found = installed()
    packs = {pack["name"]: pack["ready"] for pack in found["packs"]}
    assert packs["starter"] is True and packs["arcface"] is False
    here = {line["id"]: line for line in found["installed"]}
    assert {"mtcnn", "dlib-resnet"} <= here.keys() and "arcface-r100" not in here
    assert here["mtcnn"]["task"] == "detect"
    assert "mine" not in here or "error" in here["mine"]
