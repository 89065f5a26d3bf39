"""Opening SQLite files that a stranger may have made, and telling their errors apart."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from faceprint._files import read_start
from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery import schema_sqlite

__all__ = ["configured", "connect", "plain_errors", "writable"]

_MAGIC = b"SQLite format 3\x00"
_BUSY_MS = 30_000
_LONGEST_VALUE = 16 << 20
_CACHE_KIB = 8192
"""The inner pages of a million templates: SQLite's own 2 MB are read anew for every search."""

_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 1),  # VACUUM needs one
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 2),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)


Step = Literal["read", "write", "commit", "rewrite"]

_NOT_DONE: dict[Step, str] = {
    "read": "could not be read ({})",
    "write": "could not be written ({}); nothing of this step was stored: make room",
    "commit": "could not be written ({}); make room, and look whether this step was stored before "
    "you repeat it",
    "rewrite": "could not be written anew ({})",
}


@contextlib.contextmanager
def plain_errors(location: str, step: Step = "read") -> Iterator[None]:
    """SQLite's errors as ours, each saying what to do and what became of this step."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            text = "another process has been writing for 30 s; try again when it is done"
            raise GalleryError(f"{location}: {text}") from error
        if name.startswith("SQLITE_FULL") and step == "commit":
            step = "write"  # SQLite takes such a commit back
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            text = _NOT_DONE[step].format(error)
            raise GalleryError(f"{location}: {text}") from error
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
            raise GalleryError(f"{location}: {error}; check the file and its folder") from error
        raise GalleryCorruptError(
            f"{location} is damaged or was tampered with ({error}); restore a backup"
        ) from error
    except UnicodeError as error:
        raise GalleryCorruptError(f"{location}: text that is not UTF-8 ({error})") from error


def writable(path: Path) -> bool:
    """Whether SQLite can write a gallery there: the file, and files beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    try:
        start = read_start(path, 100)
    except OSError as error:
        raise GalleryError(f"{path} can't be opened: {error.strerror}") from error
    if start[:16] != _MAGIC or len(start) < 100:
        raise GalleryCorruptError(f"{path} is not a faceprint gallery")
    if int.from_bytes(start[68:72], "big") != schema_sqlite.APPLICATION_ID:
        raise GalleryCorruptError(f"{path} is an SQLite file but not a faceprint gallery")
    return configured(path, read_only=read_only)


def configured(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    mode = "mode=rw"
    if read_only:
        # Without a log nobody is writing, and SQLite need not look for one where it can't make
        # the file that readers of a log share.
        log = path.with_name(path.name + "-wal")
        mode = "mode=ro" if _filled(log) else "mode=ro&immutable=1"
    uri = f"{path.resolve().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        for limit, value in _LIMITS:
            connection.setlimit(limit, value)
        for pragma in (
            f"busy_timeout = {_BUSY_MS:d}",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "mmap_size = 0",
            f"cache_size = {-_CACHE_KIB:d}",
            "temp_store = MEMORY",
            "foreign_keys = ON",
            "recursive_triggers = OFF",
            "secure_delete = ON",
            "synchronous = FULL",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
