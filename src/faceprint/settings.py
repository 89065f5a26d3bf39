"""What the environment says, read when asked and never at import."""

from __future__ import annotations

import os
from pathlib import Path

from faceprint.errors import UsageError

__all__ = [
    "MAX_PIXELS",
    "accept_license",
    "available_cores",
    "default_pack",
    "default_runtime",
    "home",
    "max_pixels",
    "mirror",
    "offline",
    "processes",
]


MAX_PIXELS = 89_000_000
"""Of one photograph: ten bytes each, which is what most formats take, stay below a gigabyte."""


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() not in {"", "0", "false", "no", "off"}


def home() -> Path:
    """Cache and state: FACEPRINT_HOME, else the platform's cache folder."""
    chosen = os.environ.get("FACEPRINT_HOME", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("faceprint", appauthor=False))


def mirror() -> str | None:
    """FACEPRINT_MIRROR: a folder or URL where model files are looked for first, by name."""
    return os.environ.get("FACEPRINT_MIRROR", "").strip() or None


def offline() -> bool:
    """FACEPRINT_OFFLINE: the network is never touched."""
    return _flag("FACEPRINT_OFFLINE")


def accept_license() -> bool:
    """FACEPRINT_ACCEPT_LICENSE: model licences are accepted for this process."""
    return _flag("FACEPRINT_ACCEPT_LICENSE")


def default_pack() -> str:
    """FACEPRINT_PACK, else `starter`."""
    return os.environ.get("FACEPRINT_PACK", "").strip() or "starter"


def default_runtime() -> str:
    """FACEPRINT_RUNTIME, else `onnxruntime`."""
    return os.environ.get("FACEPRINT_RUNTIME", "").strip() or "onnxruntime"


def max_pixels() -> int:
    """FACEPRINT_MAX_PIXELS: that may be made of one photograph, else `MAX_PIXELS`.

    Raises:
        UsageError: it is not a positive whole number.
    """
    return _positive("FACEPRINT_MAX_PIXELS") or MAX_PIXELS


def processes() -> int | None:
    """FACEPRINT_PROCESSES: what `--processes` is when not given; None when it isn't set.

    Raises:
        UsageError: it is not a positive whole number.
    """
    return _positive("FACEPRINT_PROCESSES")


def _positive(name: str) -> int | None:
    chosen = os.environ.get(name, "").strip()
    if not chosen:
        return None
    if not chosen.isdigit() or int(chosen) < 1:
        raise UsageError(f"{name} is {chosen!r}, not a positive whole number")
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
