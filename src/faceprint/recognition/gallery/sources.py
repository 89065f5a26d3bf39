"""Where photographs come from, and by what they are known again."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from faceprint.errors import (
    DecodeError,
    FaceprintError,
    ImageTooLargeError,
    SourceNotFoundError,
    UsageError,
)
from faceprint.vision import images

__all__ = ["content_of", "folder_pairs", "photographs_in"]

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".heic", ".avif"}


def content_of(source: object) -> tuple[bytes, str]:
    """SHA-256 of a photograph's bytes (or an array's pixels), and what to call it.

    Raises:
        DecodeError: a path that leads to no readable regular file, or one that is too large; a
            PIL image that is damaged or has too many pixels.
        UsageError: something else than a photograph.
    """
    try:
        name = images.describe(source)
        if isinstance(source, str | os.PathLike):
            return _file_digest(Path(source)), name
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
    """Refuse a PIL image that decoding would refuse, before its pixels are made."""
    size = getattr(source, "size", None)
    if isinstance(size, tuple) and size[0] * size[1] > images.DEFAULT_LIMITS.max_pixels:
        raise ImageTooLargeError(f"{name}: {size[0]} x {size[1]} pixels")


def _file_digest(path: Path) -> bytes:
    try:
        # Before opening: opening a FIFO waits for its writer, and a device never ends.
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


def photographs_in(folder: Path) -> Iterator[Path]:
    """The photographs in a folder and below, by their suffixes, in order."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            yield path


def folder_pairs(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, photograph) from a folder that holds a folder a subject.

    Raises:
        UsageError: no such folder, or no photograph in any folder of it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    empty = True
    for person in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        for photograph in photographs_in(person):
            empty = False
            yield person.name, photograph
    if empty:
        raise UsageError(f"{folder} holds no photographs; a folder a subject is expected in it")
