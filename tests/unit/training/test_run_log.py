"""The log of a run as lines and as TensorBoard's curves, read with TensorBoard's own reader."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_data import RUN_DATA, write_pairs, write_people

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")

from faceprint.errors import MissingExtraError  # noqa: E402
from faceprint.training.run import Hooks, train  # noqa: E402
from faceprint.training.run_file import RunFile, read_run_file  # noqa: E402
from faceprint.training.run_log import RunLog  # noqa: E402

RUN = (
    RUN_DATA
    + """[network]
name = "mobilefacenet"
width = 0.125
dim = 8
[schedule]
epochs = 2
batch = 12
threads = 1
log_every = 2
checkpoint_every = 6
tensorboard = true
[validation]
protocol = "pairs"
path = "test"
pairs = "pairs.csv"
aligned = true
"""
)


@pytest.fixture
def run(tmp_path: Path) -> RunFile:
    write_people(tmp_path / "people")
    write_pairs(write_people(tmp_path / "test", people=6, each=2, seed=77), tmp_path / "pairs.csv")
    (tmp_path / "run.toml").write_text(RUN)
    return read_run_file(tmp_path / "run.toml")


def _curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    name = "tensorboard.backend.event_processing.event_accumulator"
    reader: Any = pytest.importorskip(name, reason="faceprint[tensorboard] is not installed")
    found = reader.EventAccumulator(str(folder)).Reload()
    return {
        tag: [(each.step, each.value) for each in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def _same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """Whether the points are the same but for the precision of float32."""
    steps, values = ([each[place] for each in expected] for place in (0, 1))
    right = [value for _, value in found] == pytest.approx(values, rel=1e-6)
    return [step for step, _ in found] == steps and right


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_curves_are_the_logs_numbers(run: RunFile) -> None:
    pytest.importorskip("tensorboard", reason="faceprint[tensorboard] is not installed")
    train(run)
    curves, lines = _curves(run.out), _lines(run.out)
    for key in ("loss", "learning_rate", "images_per_second"):
        expected = [(line["update"], line[key]) for line in lines if key in line]
        assert [step for step, _ in expected] == [2, 4, 6, 8, 10, 12]
        assert _same(curves[f"training/{key}"], expected)
    measured = [(line["update"], line["validation"]) for line in lines if "validation" in line]
    assert [update for update, _ in measured] == [6, 12]
    for key in ("accuracy", "auc", "eer"):
        expected = [(update, found[key]) for update, found in measured]
        assert _same(curves[f"validation/{key}"], expected)
    rates = [line["learning_rate"] for line in lines if "loss" in line]
    assert rates[2] == pytest.approx(0.1)  # the end of the warm-up
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] > rates[5] > 0


def test_a_run_that_goes_on_continues_its_curves(run: RunFile, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="faceprint[tensorboard] is not installed")
    whole = replace(run, out=tmp_path / "whole")
    train(whole)

    def interrupt(line: dict[str, Any]) -> None:
        if line["update"] == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, Hooks(log=interrupt))
    assert [step for step, _ in _curves(run.out)["training/loss"]] == [2, 4, 6, 8]
    assert train(run, until=8).resumed_at == 6
    assert train(run).resumed_at == 8
    ours, theirs = _curves(run.out), _curves(whole.out)
    for tag, points in theirs.items():
        if tag != "training/images_per_second":
            assert ours[tag] == points, tag


def test_what_could_not_be_measured_has_no_point(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="faceprint[tensorboard] is not installed")
    log = RunLog(tmp_path, 0, tensorboard=True, tell=lambda line: None)
    rates = {"accuracy": None, "eer": 0.25, "tar_at_far": {"0.01": 0.75, "0.001": None}}
    log.write({"update": 7, "validation": rates})
    log.close()
    assert _curves(tmp_path) == {
        "validation/eer": [(7, 0.25)],
        "validation/TAR at FAR 0.01": [(7, 0.75)],
    }


def test_without_tensorboard_the_run_does_not_begin(
    run: RunFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    reports: list[Any] = []
    with pytest.raises(MissingExtraError, match=r"pip install 'faceprint\[tensorboard\]'"):
        train(run, Hooks(report=reports.append))
    assert (reports, run.out.exists()) == ([], False)
    plain = replace(run, schedule=replace(run.schedule, tensorboard=False))
    train(plain, until=1)
    assert [path.name for path in sorted(run.out.iterdir())] == ["checkpoint.pt", "log.jsonl"]
