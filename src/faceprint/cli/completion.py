"""What the shell offers behind an option or in place of an argument, when Tab is pressed.

Each function gives all names; those that begin like the word on the line are offered. It imports
neither numpy nor a runtime and writes nothing. A name that could mean more than itself to a shell
is left out, since zsh evaluates what it is given.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from faceprint import settings
from faceprint._sqlite import connect
from faceprint.zoo import packs
from faceprint.zoo.card_files import card_folders, card_ids

__all__ = [
    "DEVICES",
    "RUNTIMES",
    "calibrations",
    "cards",
    "choices",
    "detectors",
    "embedders",
    "models",
    "pack_names",
    "subjects",
]

RUNTIMES = ("onnxruntime", "openvino", "pytorch", "opencv", "mxnet")
DEVICES = ("auto", "cpu", "cuda", "tensorrt-rtx", "coreml", "openvino", "webgpu", "gpu", "mps")

_PLAIN = re.compile(r"\w[\w .@+-]*")
_TASK = re.compile(r'^task = "(\w+)"', re.MULTILINE)
_MOST_STEPS = 10_000_000
"""Instructions of SQLite's virtual machine: enough for 100,000 subjects."""


def choices(*names: str) -> Callable[[], list[str]]:
    """Give a function that offers these names."""
    return lambda: list(names)


def pack_names() -> list[str]:
    """The packs."""
    return [pack.name for pack in packs.all_packs()]


def cards() -> list[str]:
    """All models."""
    return _plain(card_ids())


def models() -> list[str]:
    """All models and packs."""
    return [*cards(), *pack_names()]


def detectors() -> list[str]:
    """The models that find faces."""
    return _of_task("detect")


def embedders() -> list[str]:
    """The models that embed faces."""
    return _of_task("embed")


def calibrations() -> list[str]:
    """The user's calibrations."""
    folder = settings.home() / "calibrations"
    return _plain(sorted(path.stem for path in folder.glob("*.json")))


def subjects(ctx: typer.Context) -> list[str]:
    """The subjects of the gallery on the line: of a file that is not encrypted or being written."""
    path = Path(os.path.expanduser(str(ctx.params.get("gallery") or "")))  # noqa: PTH111 - never fails
    if not path.is_file() or path.with_name(f"{path.name}-wal").exists():
        return []
    names: list[str] = []
    with (
        contextlib.suppress(sqlite3.Error, UnicodeError),
        contextlib.closing(connect(path, read_only=True)) as file,
    ):
        file.set_progress_handler(lambda: 1, _MOST_STEPS)
        if file.execute("SELECT key_id FROM gallery").fetchone() == ("",):
            names += (
                str(row[0]) for row in file.execute("SELECT name FROM subjects ORDER BY name")
            )
    return _plain(names)


def _of_task(task: str) -> list[str]:
    return [name for name in cards() if _task(name) in (task, None)]


def _task(card_id: str) -> str | None:
    for folder in card_folders():
        with contextlib.suppress(OSError, UnicodeError):
            found = _TASK.search((folder / f"{card_id}.toml").read_text("utf-8"))
            return found[1] if found else None
    return None


def _plain(names: Iterable[str]) -> list[str]:
    """Those that a shell takes as they are; bash would take a blank for the end."""
    blanks = os.environ.get("_FACEPRINT_COMPLETE") != "complete_bash"
    return [name for name in names if _PLAIN.fullmatch(name) and (blanks or " " not in name)]
