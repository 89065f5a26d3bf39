"""Files that hold faces: readable by their owner alone, whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["private_file", "sync"]


@contextlib.contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the place of `path` when the block is left without an error.

    It is a new file, so that nobody who opened the old one reads the new content, and no access
    that the old one granted holds. Where the system can, it has no name until it is whole: a
    process that is killed leaves nothing behind. What is no regular file (a pipe, /dev/null) is
    written as it is.

    Raises:
        OSError: it can't be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.new")
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        handle, named = _create(target.parent, temporary)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not named:
                # A folder's descriptor makes this linkat(2), which follows the link.
                place = f"/proc/self/fd/{file.fileno()}"
                os.link(place, temporary, src_dir_fd=folder, follow_symlinks=True)
            temporary.replace(target)
        os.fsync(folder)
    finally:
        os.close(folder)
        temporary.unlink(missing_ok=True)


def _create(folder: Path, temporary: Path) -> tuple[int, bool]:
    """A new file's descriptor, and whether it has the temporary name already."""
    unnamed = getattr(os, "O_TMPFILE", None)
    if unnamed is not None and Path("/proc/self/fd").is_dir():
        with contextlib.suppress(OSError):  # a file system that can't
            return os.open(folder, unnamed | os.O_RDWR, 0o600), False
    return os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), True


def sync(path: Path) -> None:
    """Bring a file or a folder's names to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
