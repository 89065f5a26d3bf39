"""Closed standard streams, and disks that are full: said plainly, and no result is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from command_line import CommandLine

from faceprint.evaluation import report

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
COMMAND = [sys.executable, "-m", "faceprint"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.mark.parametrize("streams", [(0,), (2,), (0, 1, 2)])
def test_closed_streams_end_nothing(streams: tuple[int, ...], tmp_path: Path) -> None:
    closed = " ".join(f"{number}>&-" for number in streams)
    words = [*COMMAND, "embed", "-", "--out", str(tmp_path / "t.npz")]
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *words]
    done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 2  # no photographs
    assert b"AttributeError" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
@pytest.mark.parametrize("words", [["models", "list"], ["models", "list", "--json"], ["--help"]])
def test_an_answer_that_nothing_takes_is_an_error(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 5
    assert done.stderr == (
        "faceprint: No space left on device; make room, and repeat the command\n"
    )


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_report_that_can_not_be_written_leaves_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: CommandLine
) -> None:
    pytest.importorskip("matplotlib")
    table = tmp_path / "p.csv"
    table.write_text("a,b,label\nobama.jpg,obama2.jpg,1\nobama.jpg,biden.jpg,0\n")
    monkeypatch.setattr(report, "atomic_write", no_space)
    words = ["evaluate", "pairs", SAMPLES, "--pairs", table, "--threshold", "0.9", "--json"]
    done = command(*words, "--report", tmp_path / "rep", code=5)
    assert done.json["pairs"] == 2
    assert done.err.endswith(
        "faceprint: No space left on device; make room, and repeat the command\n"
    )


def test_half_a_key_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: CommandLine
) -> None:
    monkeypatch.setattr(os, "fsync", no_space)
    assert "No space left" in command("gallery", "keygen", tmp_path / "k", code=2).err
    assert list(tmp_path.iterdir()) == []
