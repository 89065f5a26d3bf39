"""Settings from environment variables, read when needed and never at import."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from faceprint.errors import UsageError

__all__ = [
    "MAX_PIXELS",
    "accept_license",
    "available_cores",
    "compat_detector",
    "default_device",
    "default_pack",
    "default_runtime",
    "dlib_landmarks",
    "expanded",
    "home",
    "max_pixels",
    "mirror",
    "offline",
    "processes",
]


_MOST = 1024
"""Most threads or processes that a setting may name."""

MAX_PIXELS = 89_000_000
"""Pixels of one photograph. Most formats take ten bytes per pixel: together under a gigabyte."""


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() not in {"", "0", "false", "no", "off"}


def home() -> Path:
    """The folder for cache and state: FACEPRINT_HOME, else the platform's cache folder.

    Without a usable home folder it is a temporary one, removed at the end of the process.
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
    """The path with a leading `~` replaced by the home folder.

    Raises:
        UsageError: the user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{os.fspath(path)}: there is no home folder for `~`") from error


@lru_cache(maxsize=1)
def _passing_home(process: int) -> Path:
    """A temporary folder of this process; a forked child has its own."""
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
        "no home folder: the cache is temporary; set FACEPRINT_HOME to keep it"
    )
    return Path(folder)


def mirror() -> str | None:
    """FACEPRINT_MIRROR: a folder or URL that is searched first for model files, by name."""
    return os.environ.get("FACEPRINT_MIRROR", "").strip() or None


def offline() -> bool:
    """FACEPRINT_OFFLINE: whether the network is forbidden."""
    return _flag("FACEPRINT_OFFLINE")


def accept_license() -> bool:
    """FACEPRINT_ACCEPT_LICENSE: whether model licenses are accepted for this process."""
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


def compat_detector() -> str:
    """FACEPRINT_COMPAT_DETECTOR: what finds faces for `faceprint.compat`, `faceprint` or `dlib`.

    Raises:
        UsageError: it is neither.
    """
    chosen = os.environ.get("FACEPRINT_COMPAT_DETECTOR", "").strip() or "faceprint"
    if chosen not in ("faceprint", "dlib"):
        raise UsageError(f"FACEPRINT_COMPAT_DETECTOR is {chosen!r}, not 'faceprint' or 'dlib'")
    return chosen


def dlib_landmarks() -> Path | None:
    """FACEPRINT_DLIB_LANDMARKS: the file of dlib's predictor of 68 landmarks."""
    chosen = os.environ.get("FACEPRINT_DLIB_LANDMARKS", "").strip()
    return expanded(chosen) if chosen else None


def max_pixels() -> int:
    """FACEPRINT_MAX_PIXELS: most pixels to decode of one photograph, else `MAX_PIXELS`.

    Raises:
        UsageError: it is not a positive whole number.
    """
    return _positive("FACEPRINT_MAX_PIXELS", most=10**12) or MAX_PIXELS


def processes() -> int | None:
    """FACEPRINT_PROCESSES: the default of `--processes`, or None.

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

    Inside a container the machine's count is wrong, and more threads than cores cost a factor of
    two to three (docs/performance.md).

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
