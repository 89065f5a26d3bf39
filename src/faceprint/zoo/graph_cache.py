"""Rewritten graphs in the cache, named by the sha256 of the original file and of their bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from faceprint._external import external_locations, refuse_outside
from faceprint._files import atomic_write
from faceprint.errors import CardError, ChecksumError
from faceprint.zoo.store import file_sha256

__all__ = ["cached_path", "find_cached", "fingerprint", "write_cache_file"]


def fingerprint(model: Path) -> str:
    """Return one sha256 for a model file and its external data.

    Raises:
        CardError: a file can't be read, or external data lies outside the model's folder.
    """
    try:
        refuse_outside(model)
        digest = file_sha256(model)
        parts = [file_sha256(model.parent / place) for place in external_locations(model)]
    except OSError as error:
        raise CardError(f"{model}: cannot be read ({error.strerror})") from error
    except ChecksumError as error:
        raise CardError(str(error)) from error
    return hashlib.sha256("".join([digest, *parts]).encode()).hexdigest() if parts else digest


def find_cached(folder: Path, prefix: str) -> Path | None:
    """Find the graph of that prefix whose bytes still match its name."""
    if not folder.is_dir():
        return None
    for path in sorted(folder.iterdir()):
        name = path.name
        if (
            name.startswith(f"{prefix}.")
            and name.endswith(".onnx")
            and file_sha256(path)[:16] == name[len(prefix) + 1 : -5]
        ):
            return path
    return None


def cached_path(folder: Path, prefix: str, content: bytes) -> Path:
    """Return where a graph of that prefix and content is kept."""
    return folder / f"{prefix}.{hashlib.sha256(content).hexdigest()[:16]}.onnx"


def write_cache_file(path: Path, content: bytes) -> None:
    """Write a file atomically, and make its folder first.

    Raises:
        OSError: the folder can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, content)
