"""What every benchmark records with its figures, and where the photographs are."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceprint.zoo.card import ModelCard

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("FACEPRINT_SHARED", ROOT.parent / "shared"))
RESULTS = ROOT / "benchmarks" / "results"
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]  # what they measure, and test cards


def commit(root: Path = ROOT) -> str:
    """The commit that is checked out, with `-dirty` when a tracked file was changed since.

    Results don't count: each benchmark of a run would find those of the one before it.
    """

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout

    changes = git(
        "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)benchmarks/results"
    )
    return git("describe", "--always").strip() + ("-dirty" if changes else "")


def use_shared_models(folder: Path) -> list[ModelCard]:
    """Work offline in a new home in `folder`, whose zoo has all models of SHARED.

    Returns:
        The cards of those that the zoo lacks.
    """
    from shared_cards import register

    os.environ.update(
        FACEPRINT_HOME=str(folder / "home"),
        FACEPRINT_MIRROR=str(SHARED / "models"),
        FACEPRINT_OFFLINE="1",
        FACEPRINT_ACCEPT_LICENSE="1",
    )
    return register(SHARED / "models", folder / "cards")


def provenance(*packages: str) -> dict[str, Any]:
    """Commit, date, machine and versions."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = lines[0].split(":")[1].strip() if lines else cpu
    versions = {}
    for name in ("numpy", "onnxruntime", "opencv-python-headless", *packages):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    from faceprint import settings

    return {
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu,
        "cores": settings.available_cores(),
        "python": platform.python_version(),
        "versions": versions,
    }


def rotate(
    sides: dict[str, Callable[[], object]], rounds: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """Seconds of each side, measured in turn so that a slow minute hits all of them."""
    if warm:
        for run in sides.values():
            run()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def write(name: str, result: dict[str, Any]) -> None:
    """Print the JSON and keep it under benchmarks/results/."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
