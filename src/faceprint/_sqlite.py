"""Open SQLite files safely, whoever wrote them, and report SQLite's errors as ours."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from faceprint._files import read_start, sync_file, sync_folder
from faceprint.errors import GalleryCorruptError, GalleryError

__all__ = ["FileFormat", "Step", "connect", "is_writable", "new_file", "sqlite_errors"]

_MAGIC = b"SQLite format 3\x00"
_BUSY_MS = 30_000
_MAX_VALUE = 16 << 20
_CACHE_KIB = 8192
"""Holds the inner pages of a million templates; with SQLite's default every search rereads them."""

_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 1),  # VACUUM needs one
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 2),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)

Step = Literal["read", "write", "commit", "rewrite"]

_FAILED: dict[Step, str] = {
    "read": "could not be read ({})",
    "write": "could not be written ({}); nothing of this step was stored: free some disk space",
    "commit": "could not be written ({}); free some disk space, and check whether this step was "
    "stored before you repeat it",
    "rewrite": "could not be rewritten ({})",
}

_Schema = frozenset[tuple[str, str, str, str | None]]


@contextlib.contextmanager
def sqlite_errors(location: str, step: Step = "read") -> Iterator[None]:
    """Raise SQLite's errors as ours, which say what to do and whether this step was stored."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            text = "another process has been writing for 30 s; try again when it is done"
            raise GalleryError(f"{location}: {text}") from error
        if name.startswith("SQLITE_FULL") and step == "commit":
            step = "write"  # SQLite rolls such a commit back
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise GalleryError(f"{location}: {_FAILED[step].format(error)}") from error
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
            raise GalleryError(f"{location}: {error}; check the file and its folder") from error
        raise GalleryCorruptError(
            f"{location} is damaged or was tampered with ({error}); restore a backup"
        ) from error
    except UnicodeError as error:
        raise GalleryCorruptError(f"{location}: text that is not UTF-8 ({error})") from error


def is_writable(path: Path) -> bool:
    """Whether SQLite can write this file, and its journal beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def connect(
    path: Path, *, read_only: bool = False, create: bool = False, busy_ms: int | None = None
) -> sqlite3.Connection:
    """Open a file in autocommit mode, hardened against what a hostile file could do.

    Deleted rows are overwritten (`secure_delete`), and every commit waits for the disk.

    Args:
        create: make an empty file where there is none.
        busy_ms: how long to wait for another writer; 30 s by default.
    """
    mode = "mode=rwc" if create else "mode=rw"
    if read_only:
        # Without a log nobody is writing. SQLite then need not make the file that readers of a
        # log share, which it can't on a read-only disk.
        log = path.with_name(path.name + "-wal")
        mode = "mode=ro" if _has_content(log) else "mode=ro&immutable=1"
    uri = f"{path.resolve().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        for limit, value in _LIMITS:
            connection.setlimit(limit, value)
        for pragma in (
            f"busy_timeout = {_BUSY_MS if busy_ms is None else busy_ms:d}",
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


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class FileFormat:
    """The SQLite format of one kind of file.

    Attributes:
        kind: `gallery` or `album`, for messages.
        application_id: in the file's header, by which its kind is recognized.
        steps: each takes a file from version n to n + 1. Never edit a step that was released:
            schemas are compared, text by text, with what the steps make.
    """

    kind: str
    application_id: int
    steps: tuple[tuple[str, ...], ...]

    @property
    def version(self) -> int:
        """The newest version."""
        return len(self.steps)

    def check_header(self, path: Path) -> None:
        """Raise GalleryCorruptError for a file of another kind, before SQLite reads it."""
        try:
            start = read_start(path, 100)
        except OSError as error:
            raise GalleryError(f"{path} can't be opened: {error.strerror}") from error
        if start[:16] != _MAGIC or len(start) < 100:
            raise GalleryCorruptError(f"{path} is not a faceprint {self.kind}")
        if int.from_bytes(start[68:72], "big") != self.application_id:
            raise GalleryCorruptError(f"{path} is an SQLite file but not a faceprint {self.kind}")

    def create(self, connection: sqlite3.Connection) -> None:
        """Make the tables in an empty file, inside the caller's transaction."""
        connection.execute(f"PRAGMA application_id = {self.application_id:d}")
        self.migrate(connection, 0)

    def migrate(
        self, connection: sqlite3.Connection, start: int, version: int | None = None
    ) -> None:
        """Upgrade from version `start` to the newest, inside the caller's transaction."""
        stop = self.version if version is None else version
        for step in self.steps[start:stop]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {stop:d}")

    def check_schema(self, connection: sqlite3.Connection, location: str) -> int:
        """Check that every table, index and trigger is exactly ours; give the schema's version.

        Raises:
            GalleryCorruptError: a file of another kind or of a newer faceprint, or anything was
                added or changed: a foreign trigger or view would run with the user's rights.
        """
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != self.application_id:
            raise GalleryCorruptError(
                f"{location} is an SQLite file but not a faceprint {self.kind}"
            )
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > self.version:
            raise GalleryCorruptError(
                f"{location} was made by a newer faceprint ({self.kind} version {version}, this "
                f"one reads up to {self.version}); upgrade faceprint"
            )
        expected = _expected_schema(self, version) if version >= 1 else frozenset()
        found = _read_schema(connection)
        if version < 1 or found != expected:
            odd = sorted(f"{kind} {name!r}" for kind, name, _, _ in found ^ expected)[:5]
            raise GalleryCorruptError(
                f"{location}: the schema is not that of a faceprint {self.kind} (added, missing or "
                f"changed: {', '.join(odd) or 'everything'}); refused, as it could run foreign code"
            )
        return int(version)


def _read_schema(connection: sqlite3.Connection) -> _Schema:
    # The tables that ANALYZE makes hold statistics for the query planner only.
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_stat_'"
        " ESCAPE '\\'"
    )
    return frozenset((str(a), str(b), str(c), None if d is None else str(d)) for a, b, c, d in rows)


@cache
def _expected_schema(form: FileFormat, version: int) -> _Schema:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        form.migrate(connection, 0, version)
        return _read_schema(connection)
    finally:
        connection.close()


@contextlib.contextmanager
def new_file(path: Path, *, exist_ok: bool) -> Iterator[Path]:
    """Give an empty temporary file that becomes `path` when the block ends without an error.

    Only its owner can read it. No process ever sees half of it, and an existing file is never
    replaced.

    Args:
        exist_ok: keep a file that is there by then; otherwise it is an error.

    Raises:
        GalleryError: it can't be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    try:
        _create_private(temporary)
        yield temporary
        sync_file(temporary)
        try:
            _link(temporary, path)
        except FileExistsError:
            if not exist_ok:
                raise
    except OSError as error:
        raise GalleryError(f"{path} can't be created: {error.strerror}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)
    sync_folder(path.parent)


def _create_private(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name; raise FileExistsError where that name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. A rename would replace a file, so take the name first.
        _create_private(path)
        temporary.replace(path)
