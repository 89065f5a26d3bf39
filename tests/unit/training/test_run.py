"""Whole runs on made-up people: the loss falls, resuming is exact, NaN stops."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_data import RUN_DATA, RUN_NETWORK, write_pairs, write_people

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")

from command_line import CommandLine  # noqa: E402

from faceprint.errors import DatasetError, NotFiniteError, UsageError  # noqa: E402
from faceprint.training.checkpoint import read_checkpoint  # noqa: E402
from faceprint.training.run import Hooks, train  # noqa: E402
from faceprint.training.run_file import RunFile, Validation, read_run_file  # noqa: E402

RUN = (
    RUN_DATA
    + RUN_NETWORK
    + """[loss]
name = "arcface"
margin = 0.2
scale = 8
[augmentation]
flip = 0.5
color = 0.2
[schedule]
epochs = 4
batch = 12
rate = 0.1
warmup_epochs = 0.5
threads = 1
log_every = 2
"""
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("training")
    write_people(root / "people")
    (root / "run.toml").write_text(RUN)
    return root


@pytest.fixture
def run(people: Path, tmp_path: Path) -> RunFile:
    return replace(read_run_file(people / "run.toml"), out=tmp_path / "run")


def _weights(out: Path) -> dict[str, Any]:
    state = read_checkpoint(out / "checkpoint.pt").state
    return {**state["network"], **{f"head.{key}": value for key, value in state["head"].items()}}


def test_the_loss_falls_and_the_log_says_so(run: RunFile) -> None:
    outcome = train(run)
    assert (outcome.people, outcome.photographs, outcome.updates) == (12, 72, 24)
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == list(range(2, 25, 2))
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert lines[-1]["seconds_left"] == 0
    assert outcome.loss == pytest.approx(lines[-1]["loss"], abs=1e-6)


@pytest.mark.parametrize("loss", ["arcface", "adaface"])
def test_a_run_that_was_stopped_has_the_same_weights(
    run: RunFile, tmp_path: Path, loss: str
) -> None:
    schedule = replace(run.schedule, epochs=2, batch=9, accumulation=2)
    chosen = replace(run.loss, name=loss, sample_rate=0.5)
    run = replace(run, schedule=schedule, loss=chosen)
    train(run)
    other = replace(run, out=tmp_path / "stopped")
    assert train(other, until=3).updates == 3
    again = replace(other, schedule=replace(schedule, workers=1))
    assert train(again).resumed_at == 3
    ours, theirs = _weights(run.out), _weights(other.out)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert train(other).loss is None  # nothing is left


def test_a_checkpoint_of_other_settings_is_refused(run: RunFile) -> None:
    train(run, until=1)
    with pytest.raises(UsageError, match="a run with other loss, seed"):
        train(replace(run, seed=6, loss=replace(run.loss, margin=0.3)))
    (run.out / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UsageError, match="not a checkpoint"):
        train(run)


def test_nan_stops_the_run_with_the_batch_saved(run: RunFile) -> None:
    train(run, until=2)
    before = _weights(run.out)
    network = replace(run.network)
    state = torch.load(run.out / "checkpoint.pt", weights_only=True)
    state["state"]["network"]["conv_sep.layers.0.weight"][0] = float("nan")
    torch.save(state, run.out / "checkpoint.pt")
    with pytest.raises(NotFiniteError, match=r"update 2: the loss is nan .*not-finite-2\.npz"):
        train(replace(run, network=network))
    with np.load(run.out / "not-finite-2.npz") as saved:
        assert saved["blob"].shape == (12, 3, 112, 112)
        assert len(saved["labels"]) == len(saved["photographs"]) == 12
    after = _weights(run.out)
    assert torch.equal(before["head.weight"], after["head.weight"])


def test_a_rate_that_is_far_too_high_stops_the_run(run: RunFile) -> None:
    schedule = replace(run.schedule, rate=1e30, warmup_epochs=0.0, clip=1e30)
    with pytest.raises(NotFiniteError, match=r"Lower schedule\.rate"):
        train(replace(run, schedule=schedule))


def test_shared_people_stop_the_run_before_it_begins(run: RunFile, people: Path) -> None:
    data = replace(run.data, against=(people / "people",))
    reports: list[Any] = []
    with pytest.raises(DatasetError, match="12 people are shared with evaluation sets"):
        train(replace(run, data=data), Hooks(report=reports.append))
    assert len(reports) == 1
    assert not run.out.exists()


def test_a_batch_larger_than_the_data_is_refused(run: RunFile) -> None:
    with pytest.raises(UsageError, match="72 photographs fill no update of 100"):
        train(replace(run, schedule=replace(run.schedule, batch=100)))


def test_bfloat16_trains_too(run: RunFile) -> None:
    schedule = replace(run.schedule, precision="bfloat16")
    outcome = train(replace(run, schedule=schedule), until=2)
    assert outcome.loss is not None
    assert np.isfinite(outcome.loss)


def test_validation_is_that_of_evaluate(run: RunFile, tmp_path: Path) -> None:
    test = write_people(tmp_path / "test", people=6, each=2, seed=77)
    pairs = write_pairs(test, tmp_path / "pairs.csv")
    text = RUN.replace('out = "run"', f'out = "{run.out}"')
    text = text.replace('"people"', f'"{run.data.folder}"').replace(
        '"store"', f'"{run.data.store}"'
    )
    text += (
        f'[validation]\nprotocol = "pairs"\npath = "{test}"\npairs = "{pairs}"\naligned = true\n'
    )
    (tmp_path / "run.toml").write_text(text)
    outcome = train(read_run_file(tmp_path / "run.toml"))
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    measured = [line["validation"] for line in lines if "validation" in line]
    assert len(measured) == 4
    assert outcome.validation == measured[-1]["accuracy"]
    assert measured[-1]["auc"] > 0.8


def test_pictures_of_the_validation_are_not_trained_on(run: RunFile, tmp_path: Path) -> None:
    pairs = write_pairs(run.data.folder, tmp_path / "pairs.csv")
    judged = Validation(run.data.folder, "pairs", pairs, aligned=True)
    with pytest.raises(DatasetError, match=r"person 00/0\.png of pairs is in the training data"):
        train(replace(run, validation=judged))


def test_the_command_trains_and_resumes(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faceprint = CommandLine(capsys)
    path = people / "short.toml"
    path.write_text(RUN.replace('"run"', f'"{tmp_path}/run"').replace("epochs = 4", "epochs = 1"))
    document = faceprint("train", path, "--until", "2", "--json").json
    assert (document["updates"], document["resumed_at"], document["people"]) == (2, 0, 12)
    done = faceprint("train", "run", path)
    assert "6 updates on 72 photographs of 12 people" in done.out
    assert "data: 12 people, 72 crops" in done.err
    assert "nothing left to do" in faceprint("train", path).out
    bad = people / "bad.toml"
    bad.write_text("sed = 1\n" + RUN)
    assert "did you mean seed?" in faceprint("train", bad, code=2).err
