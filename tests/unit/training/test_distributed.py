"""Runs on two processes, started by torchrun, beside the same run in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from training_data import RUN_DATA, RUN_NETWORK, write_people

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")

from faceprint.errors import RuntimeUnavailableError, UsageError  # noqa: E402
from faceprint.training import trainer  # noqa: E402
from faceprint.training.checkpoint import read_checkpoint  # noqa: E402
from faceprint.training.distributed import ALONE, Group, group_of_environment  # noqa: E402
from faceprint.training.run import train  # noqa: E402
from faceprint.training.run_file import RunFile, read_run_file  # noqa: E402

RUN = (
    RUN_DATA
    + RUN_NETWORK
    + """[loss]
name = "adaface"
scale = 8
sample_rate = 0.5
[augmentation]
flip = 0.5
color = 0.2
[schedule]
epochs = 2
batch = 8
accumulation = 2
rate = 0.01
clip = 1e6
warmup_epochs = 0.5
threads = 1
log_every = 1
"""
)

# Without batch statistics, which each process has of its own part on the CPU; and smooth, since the
# gradient of a ReLU near zero depends on the last digit.
PLAIN = """
import torch


def build(name, **options):
    layers = [torch.nn.Conv2d(3, 8, 8, 8), torch.nn.Tanh(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(8 * 14 * 14, 16))
"""

SCRIPT = (
    PLAIN
    + """
import os
import sys
from pathlib import Path
from faceprint.training import trainer
from faceprint.training.run import train
from faceprint.training.run_file import read_run_file

trainer.build = build
if sys.argv[1] == "nan" and os.environ["RANK"] == "1":
    loss = trainer.Trainer._loss

    def spoiled(self, *given):
        return loss(self, *given) * (float("nan") if self.update == 2 else 1.0)

    trainer.Trainer._loss = spoiled
train(read_run_file(Path(sys.argv[2])), until=3)
names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in names if "gloo" in name], f"threads that may abort the exit: {names}"
"""
)


def _torchrun(*command: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    launched = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    more = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    more |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, *launched, *map(str, command)],
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    write_people(tmp_path / "people")
    (tmp_path / "run.toml").write_text(RUN)
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path / "run.toml"


def _log(run: RunFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]


def _weights(run: RunFile) -> dict[str, Any]:
    state = read_checkpoint(run.out / "checkpoint.pt").state
    return {**state["network"], **{f"head.{key}": value for key, value in state["head"].items()}}


@pytest.mark.slow
def test_two_processes_train_as_one_does_and_one_goes_on(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _torchrun(run_file.parent / "script.py", "plain", run_file)
    several = read_run_file(run_file)
    assert [line["update"] for line in _log(several)] == [1, 2, 3]
    made: dict[str, Any] = {}
    exec(PLAIN, made)
    monkeypatch.setattr(trainer, "build", made["build"])
    one = replace(several, out=run_file.parent / "one")
    train(one, until=3)

    def agree() -> None:
        for ours, theirs in zip(_log(several), _log(one), strict=True):
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        ours, theirs = _weights(several), _weights(one)
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert torch.allclose(value, theirs[key], rtol=1e-5, atol=1e-6), key

    agree()
    assert train(several).resumed_at == 3
    train(one)
    assert len(_log(one)) == 8
    agree()


@pytest.mark.slow
def test_the_command_writes_once_and_resumes_in_several_processes(run_file: Path) -> None:
    command = ("-m", "faceprint", "train", "run", run_file, "--json")
    done = _torchrun(*command, "--until", "2")
    assert json.loads(done.stdout)["updates"] == 2
    done = _torchrun(*command, "--until", "4")
    assert json.loads(done.stdout)["resumed_at"] == 2
    assert done.stderr.count("data: 12 people, 72 crops") == 1
    assert [line["update"] for line in _log(read_run_file(run_file))] == [1, 2, 3, 4]
    text = RUN.replace("batch = 8", "batch = 9")
    run_file.write_text(text)
    failed = _torchrun(*command, code=1)
    assert "a batch of 9 gives 2 processes no equal parts" in failed.stderr


@pytest.mark.slow
def test_nan_in_one_process_stops_all(run_file: Path) -> None:
    failed = _torchrun(run_file.parent / "script.py", "nan", run_file, code=1)
    assert "NotFiniteError: update 2: the loss is nan" in failed.stderr
    out = run_file.parent / "run"
    assert [path.name for path in out.glob("*.npz")] == ["not-finite-2.npz"]
    assert not (out / "checkpoint.pt").exists()


def test_the_environment_says_how_many_processes_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(key, raising=False)
    assert group_of_environment() == ALONE
    for key, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(key, value)
    assert group_of_environment() == ALONE  # as a cluster's scheduler may set them
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert group_of_environment() == Group(5, 8, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert group_of_environment() == ALONE


def test_finetune_measures_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(key, "2")
    given = ("--from", "edgeface-xs", "--out", tmp_path / "tuned")
    failed = CommandLine(capsys)("train", "finetune", tmp_path, *given, code=2)
    assert "torchrun -m faceprint train" in failed.err
    assert (tmp_path / "tuned" / "run.toml").exists()


def test_devices_that_processes_can_not_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(1, 2, 1)
    assert (ALONE.device("mps"), group.device("cpu")) == ("mps", "cpu")
    for name in ("mps", "cuda:0"):
        with pytest.raises(UsageError, match=f"is '{name}'"):
            group.device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RuntimeUnavailableError, match=r"process 1 .* PyTorch has 1"):
        group.device("cuda")
    assert Group(2, 4, 0).device("cuda") == "cuda:0"


def test_batches_need_equal_parts_of_two_or_more() -> None:
    ALONE.check_batch(3)
    Group(0, 2, 0).check_batch(4)
    for size in (5, 2):
        with pytest.raises(UsageError, match="no equal parts of two"):
            Group(0, 2, 0).check_batch(size)
