"""The virtual environment of MXNet: where it is, and how it is made.

MXNet was retired in 2023 and needs numpy below 1.24, so it can't share an environment with current
packages. faceprint makes one for it under FACEPRINT_HOME, after asking.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from faceprint import settings
from faceprint.errors import RuntimeUnavailableError

__all__ = ["PINS", "create", "describe", "folder", "python"]

PINS = ("mxnet==1.9.1", "numpy==1.23.5")
"""numpy 1.23.5 is the newest that MXNet supports; it has wheels up to Python 3.11."""

_NEWEST = (3, 11)


def folder() -> Path:
    """Return the environment's folder, whether or not it exists."""
    return settings.home() / "envs" / "mxnet-1.9.1"


def python() -> Path | None:
    """Return the environment's interpreter; None if it doesn't exist or is incomplete."""
    return _interpreter() if _mark().is_file() else None


def describe() -> str:
    """Say what `create` installs, for the question before it."""
    return (
        f"a virtual environment in {folder()} (about 300 MB) with {', '.join(PINS)} and their "
        "dependencies from the package index"
    )


def create() -> Path:
    """Make the environment, after removing what an interrupted attempt left.

    Raises:
        RuntimeUnavailableError: offline, no suitable Python, or the installation failed.
    """
    if settings.offline():
        raise RuntimeUnavailableError(
            "the MXNet runtime needs an installation, and FACEPRINT_OFFLINE is set; "
            f"copy a finished {folder()} from another machine, or unset it"
        )
    base = _base_python()
    shutil.rmtree(folder(), ignore_errors=True)
    _call([base, "-m", "venv", str(folder())])
    pip = [str(_interpreter()), "-m", "pip", "install", "--no-input", "--only-binary", ":all:"]
    _call([*pip, *PINS])
    _call([str(_interpreter()), "-I", "-c", "import mxnet"])
    _mark().write_text("\n".join(PINS) + "\n", encoding="ascii")
    return _interpreter()


def _mark() -> Path:
    return folder() / "faceprint-ready"


def _interpreter() -> Path:
    return folder() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _base_python() -> str:
    if sys.version_info[:2] <= _NEWEST:
        return sys.executable
    for minor in (11, 10, 9):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    raise RuntimeUnavailableError(
        f"MXNet 1.9.1 needs Python 3.{_NEWEST[1]} or older, and the PATH has none; "
        "install one, or use another runtime"
    )


def _call(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"exit code {done.returncode}"
        raise RuntimeUnavailableError(
            f"the MXNet environment could not be made: {Path(command[0]).name} "
            f"{' '.join(command[1:4])} ...: {reason}"
        )
