"""What the environment says, read when asked and never at import."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from faceprint.errors import UsageError

__all__ = [
    "MAX_PIXELS",
    "accept_license",
    "available_cores",
    "default_device",
    "default_pack",
    "default_runtime",
    "expanded",
    "home",
    "max_pixels",
    "mirror",
    "offline",
    "processes",
]


_MOST = 1024
"""Threads or processes that anybody can mean."""

MAX_PIXELS = 89_000_000
"""Of one photograph: ten bytes each, which is what most formats take, stay below a gigabyte."""


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() not in {"", "0", "false", "no", "off"}


def home() -> Path:
    """Cache and state: FACEPRINT_HOME, else the platform's cache folder.

    A user without a home folder, or with one where nothing can be made, has one that is removed at
    the end of the process.
    """
    chosen = os.environ.get("FACEPRINT_HOME", "").strip()
    if chosen:
        return expanded(chosen)
    import platformdirs

    try:
        usual = Path(platformdirs.user_cache_dir("faceprint", appauthor=False))
    except (RuntimeError, KeyError):
        return _passing_home(os.getpid())
    # Older platformdirs leave the `~` of a user without a home folder as it is.
    good = usual.is_absolute() and (usual.is_dir() or _can_be_made(usual))
    return usual if good else _passing_home(os.getpid())


def _can_be_made(folder: Path) -> bool:
    there = next((place for place in folder.parents if os.path.lexists(place)), folder)
    return there.is_dir() and os.access(there, os.W_OK)


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path, with the home folder where it begins with `~`.

    Raises:
        UsageError: nobody knows where that is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{os.fspath(path)}: there is no home folder for `~`") from error


@lru_cache(maxsize=1)
def _passing_home(process: int) -> Path:
    """A folder of this process alone; a forked child has another."""
    import atexit
    import logging
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="faceprint-")

    def remove() -> None:
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    logging.getLogger("faceprint").warning(
        "no home folder: what is cached goes with this process; FACEPRINT_HOME names a folder"
    )
    return Path(folder)


def mirror() -> str | None:
    """FACEPRINT_MIRROR: a folder or URL where model files are looked for first, by name."""
    return os.environ.get("FACEPRINT_MIRROR", "").strip() or None


def offline() -> bool:
    """FACEPRINT_OFFLINE: the network is never touched."""
    return _flag("FACEPRINT_OFFLINE")


def accept_license() -> bool:
    """FACEPRINT_ACCEPT_LICENSE: model licenses are accepted for this process."""
    return _flag("FACEPRINT_ACCEPT_LICENSE")


def default_pack() -> str:
    """FACEPRINT_PACK, else `starter`."""
    return os.environ.get("FACEPRINT_PACK", "").strip() or "starter"


def default_runtime() -> str:
    """FACEPRINT_RUNTIME, else `onnxruntime`."""
    return os.environ.get("FACEPRINT_RUNTIME", "").strip() or "onnxruntime"


def default_device() -> str:
    """FACEPRINT_DEVICE, else `cpu`."""
    return os.environ.get("FACEPRINT_DEVICE", "").strip() or "cpu"


def max_pixels() -> int:
    """FACEPRINT_MAX_PIXELS: that may be made of one photograph, else `MAX_PIXELS`.

    Raises:
        UsageError: it is not a positive whole number.
    """
    return _positive("FACEPRINT_MAX_PIXELS", most=10**12) or MAX_PIXELS


def processes() -> int | None:
    """FACEPRINT_PROCESSES: what `--processes` is when not given; None when it isn't set.

    Raises:
        UsageError: it is not a positive whole number.
    """
    return _positive("FACEPRINT_PROCESSES")


def _positive(name: str, most: int = _MOST) -> int | None:
    chosen = os.environ.get(name, "").strip()
    if not chosen:
        return None
    if not (chosen.isdecimal() and len(chosen) < 20) or not 1 <= int(chosen) <= most:
        raise UsageError(f"{name} is {chosen!r}, not a whole number from 1 to {most}")
    return int(chosen)


def available_cores() -> int:
    """Cores this process may use: FACEPRINT_THREADS, else affinity capped by the cgroup's quota.

    More threads than cores cost a factor of two to three (docs/performance.md), so the count of the
    machine is not the answer inside a container.

    Raises:
        UsageError: FACEPRINT_THREADS is not a positive whole number.
    """
    chosen = _positive("FACEPRINT_THREADS")
    if chosen:
        return chosen
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity call
        cores = os.cpu_count() or 1
    return max(1, min(cores, _cgroup_quota() or cores))


def _cgroup_quota() -> int | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, -(-int(quota) // int(period)))
