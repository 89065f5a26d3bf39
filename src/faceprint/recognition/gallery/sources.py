"""Identify photographs by their content, and find them in a folder of subjects."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from faceprint._text import printable
from faceprint.errors import (
    DecodeError,
    FaceprintError,
    ImageTooLargeError,
    SourceNotFoundError,
    UsageError,
)
from faceprint.vision import images, limits
from faceprint.vision.search_report import SearchReport
from faceprint.vision.sources import find_people

__all__ = ["folder_pairs", "image_digest"]


def image_digest(source: object) -> tuple[bytes, str]:
    """SHA-256 of a photograph's bytes (or an array's pixels), and its name for messages.

    Raises:
        DecodeError: not a readable regular file, or one that is too large; a PIL image that is
            damaged or has too many pixels.
        UsageError: not a photograph.
    """
    try:
        name = images.describe(source)
        if isinstance(source, str | os.PathLike):
            return _file_digest(Path(source)), printable(name)
        if isinstance(source, bytes | bytearray | memoryview):
            return hashlib.sha256(source).digest(), name
        _check_size(source, name)
        pixels = np.ascontiguousarray(source)
    except (ValueError, OSError) as error:
        if isinstance(error, FaceprintError):
            raise
        raise DecodeError(f"{images.describe(source)!r}: {error}") from error
    digest = hashlib.sha256(f"{pixels.dtype}{pixels.shape}".encode())
    digest.update(pixels.data)
    return digest.digest(), name


def _check_size(source: object, name: str) -> None:
    """Refuse a PIL image that decoding would refuse, before it is decoded."""
    size = getattr(source, "size", None)
    if isinstance(size, tuple):
        limits.check_size(size, name, limits.default_limits())


def _file_digest(path: Path) -> bytes:
    try:
        # Before opening: a FIFO waits for its writer, and a device never ends.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DecodeError(f"{path}: not a regular file")
        if status.st_size > images.DEFAULT_LIMITS.max_bytes:
            raise ImageTooLargeError(f"{path}: {status.st_size} bytes")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        if isinstance(error, DecodeError):
            raise
        raise SourceNotFoundError(f"{path}: {error.strerror or error}") from error


def folder_pairs(
    folder: Path, *, exclude: Sequence[str] = (), report: SearchReport | None = None
) -> Iterator[tuple[str, Path]]:
    """(subject, photograph) from a folder that contains one folder per subject.

    Args:
        exclude, report: see `find_people`.

    Raises:
        UsageError: no such folder, or no photograph in any folder of it.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - False, and no error, below a closed folder
        raise UsageError(f"{folder} is not a folder")
    empty = True
    for person, photograph in find_people(folder, exclude=exclude, report=report):
        empty = False
        yield person, Path(photograph)
    if empty:
        raise UsageError(f"{folder} contains no photographs; it should have one folder per subject")
