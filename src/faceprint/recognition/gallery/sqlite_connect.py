"""Opening SQLite files that a stranger may have made, and telling their errors apart."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery import schema_sqlite

__all__ = ["configured", "connect", "plain_errors"]

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


@contextlib.contextmanager
def plain_errors(location: str) -> Iterator[None]:
    """SQLite's errors as ours, each saying what to do."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            text = "another process has been writing for 30 s; try again when it is done"
            raise GalleryError(f"{location}: {text}") from error
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            text = f"could not be written ({error}); nothing of this step was stored: make room"
            raise GalleryError(f"{location}: {text}") from error
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
            raise GalleryError(f"{location}: {error}; check the file and its folder") from error
        raise GalleryCorruptError(
            f"{location} is damaged or was tampered with ({error}); restore a backup"
        ) from error


def connect(path: Path) -> sqlite3.Connection:
    try:
        with path.open("rb") as file:
            start = file.read(100)
    except OSError as error:
        raise GalleryError(f"{path} can't be opened: {error.strerror}") from error
    if start[:16] != _MAGIC or len(start) < 100:
        raise GalleryCorruptError(f"{path} is not a faceprint gallery")
    if int.from_bytes(start[68:72], "big") != schema_sqlite.APPLICATION_ID:
        raise GalleryCorruptError(f"{path} is an SQLite file but not a faceprint gallery")
    return configured(path)


def configured(path: Path) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=rw"
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
