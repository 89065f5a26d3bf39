"""The embedded store: one SQLite file in WAL mode, opened as if a stranger had made it."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from faceprint._files import sync_file, sync_folder
from faceprint.errors import GalleryError
from faceprint.recognition.gallery import schema_sqlite
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.sql_rows import HEADER, header_to_row
from faceprint.recognition.gallery.sqlite_access import SqliteReader, SqliteWriter
from faceprint.recognition.gallery.sqlite_columns import marks
from faceprint.recognition.gallery.sqlite_connect import (
    configured,
    connect,
    plain_errors,
    writable,
)
from faceprint.recognition.gallery.store import Check
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import VectorIndex

__all__ = ["SqliteStore"]

_MOST_IN_MEMORY = 256 << 20
_PAGE = 16_384  # holds seven 512-d templates; the default of 4096 would waste half a page on each


class SqliteStore(SqliteReader):
    """A gallery in a file. Safe across threads (one at a time) and processes, not across forks."""

    def __init__(self, path: Path) -> None:
        self._shown, path = str(path), path.absolute()  # the working folder may change
        self.path = path
        self._read_only = not writable(path)
        with plain_errors(self._shown):
            connection = connect(path, read_only=self._read_only)
        self._file = _state(path)
        super().__init__(connection, self._shown, threading.RLock(), schema_sqlite.VERSION)
        try:
            with plain_errors(self._shown):
                version = schema_sqlite.check_schema(connection, self._shown)
            if version < schema_sqlite.VERSION and not self._read_only:
                self._upgrade()
                version = schema_sqlite.VERSION
            self._see(version)
        except BaseException:
            connection.close()
            raise

    @property
    def location(self) -> str:
        """The file's path."""
        return self._shown

    @property
    def read_only(self) -> bool:
        """Whether the file or its folder can't be written."""
        return self._read_only

    @property
    def files(self) -> list[Path]:
        """The file, its log, its shared memory, and the index cache with its note."""
        names = ("", "-wal", "-shm", "-journal", ".index", ".index.json")
        paths = (self.path.with_name(self.path.name + name) for name in names)
        return [path for path in paths if path.exists()]

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._read_only:
            with self._lock:
                self._look_again()
        return super()._rows(sql, values)

    def _look_again(self) -> None:
        # SQLite takes a file that it can't write for one that never changes.
        state = _state(self.path)
        if state != self._file:
            with plain_errors(self.location):
                fresh = connect(self.path, read_only=True)
            self._connection.close()
            self._connection, self._file = fresh, state

    @staticmethod
    def create(path: Path, header: Header) -> None:
        """Make a file with an empty gallery, whole or not at all; an existing one stays.

        It is laid out under a temporary name and linked into place, so that no process ever sees
        half a gallery, and of two that create at once the first wins. Readable by its owner alone.

        Raises:
            GalleryError: it can't be written, or a gallery's write-ahead log lies there without it:
                SQLite would play that log into the new file.
        """
        left = path.with_name(path.name + "-wal")
        if left.exists() and not path.exists():
            raise GalleryError(
                f"{left} is there but {path} is not: the gallery was moved or deleted without its "
                "log; bring it back, or delete the log"
            )
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
        try:
            with plain_errors(str(path), "write"):
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                _lay_out(temporary, header)
            _publish(temporary, path)
        except OSError as error:
            raise GalleryError(f"{path} can't be made: {error.strerror}") from error
        finally:
            _forget(temporary)
        sync_folder(path.parent)

    def _upgrade(self) -> None:
        try:
            with plain_errors(self.location, "write"):
                self._connection.execute("BEGIN IMMEDIATE")
                version = schema_sqlite.check_schema(self._connection, self.location)
                schema_sqlite.migrate(self._connection, version)
                self._connection.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise

    def _rollback(self) -> None:
        # A failed commit may have rolled back by itself.
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def write(self) -> Iterator[SqliteWriter]:
        """A write transaction (`GalleryStore.write`)."""
        if self._read_only:
            raise GalleryError(
                f"{self.location} can't be written: the file or its folder is read-only"
            )
        with self._lock:
            with plain_errors(self.location, "write"):
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteWriter(self._connection, self.location, self._lock, self._version)
                self._check_place("nothing of this step was stored")
                with plain_errors(self.location, "commit"):
                    self._connection.execute("COMMIT")
                self._check_place("this step was stored in the file that is no longer there")
            finally:
                self._rollback()

    def _check_place(self, outcome: str) -> None:
        """Refuse to acknowledge what goes into a file that nobody will find at its path."""
        if _state(self.path)[:2] != self._file[:2]:
            self._rollback()
            if not self.path.exists():
                # What was acknowledged earlier may lie in the log, which did not move along.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise GalleryError(
                f"{self.location} was moved, deleted or replaced while it was open; {outcome}. "
                "Open it again. To copy a gallery that is in use: faceprint gallery backup"
            )

    def scrub(self, *, thorough: bool = False) -> bool:
        """Write the file anew (VACUUM) and empty the write-ahead log (`GalleryStore.scrub`).

        `secure_delete` is not enough: it overwrites a row where it lies, but the copies that stay
        behind when SQLite moves rows between pages are not zeroed.
        """
        if self._read_only:
            raise GalleryError(f"{self.location} is read-only")
        with self._lock, plain_errors(self.location, "rewrite"):
            large = self.path.stat().st_size > _MOST_IN_MEMORY
            try:
                # The copy that VACUUM makes; a file of it never has a name.
                self._connection.execute(f"PRAGMA temp_store = {'FILE' if large else 'MEMORY'}")
                self._connection.execute("VACUUM")
            except sqlite3.OperationalError as error:
                if (error.sqlite_errorname or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                    return False
                raise
            finally:
                self._connection.execute("PRAGMA temp_store = MEMORY")
            deadline = time.monotonic() + 5
            while True:
                (busy, _, _) = self._connection.execute(
                    "PRAGMA wal_checkpoint(TRUNCATE)"
                ).fetchone()
                if not busy or time.monotonic() > deadline:
                    return not busy
                time.sleep(0.05)

    def backup(self, path: Path) -> None:
        """Copy the gallery by SQLite's online backup (`GalleryStore.backup`)."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
        try:
            if path.exists():
                raise GalleryError(f"{path} is there already; a backup never replaces a file")
            for left in path.parent.glob(f".{path.name}.*.new"):
                left.unlink(missing_ok=True)  # of a backup that was killed
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            target = sqlite3.connect(temporary, isolation_level=None)
            try:
                with self._lock, plain_errors(str(path), "rewrite"):
                    self._connection.backup(target)
            finally:
                target.close()
            sync_file(temporary)
            _publish(temporary, path, replace=False)
        except OSError as error:
            raise GalleryError(f"{path} can't be made: {error.strerror}") from error
        finally:
            _forget(temporary)
        sync_folder(path.parent)

    def check(self) -> list[str]:
        """SQLite's own integrity check, and references that lead nowhere."""
        problems = [str(row[0]) for row in self._rows("PRAGMA integrity_check(20)")]
        broken = self._rows("PRAGMA foreign_key_check")
        problems += [f"a row of {row[0]} refers to a {row[2]} row that is gone" for row in broken]
        return [problem for problem in problems if problem != "ok"]

    def native_search(self, header: Header, check: Check) -> tuple[VectorIndex, Owners] | None:
        """None: vectors are searched in memory."""
        return None

    def cache_path(self) -> Path | None:
        """`people.db.index` beside `people.db`."""
        return self.path.with_name(self.path.name + ".index")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _lay_out(path: Path, header: Header) -> None:
    connection = configured(path)
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE:d}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        schema_sqlite.create(connection)
        row = header_to_row(header)
        connection.execute(f"INSERT INTO gallery (id, {HEADER}) VALUES (1, {marks(row)})", row)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _publish(temporary: Path, path: Path, *, replace: bool = True) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        if not replace:
            raise
    except OSError:
        # A file system without hard links: a rename would replace, so the name is taken first.
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            temporary.replace(path)
        except FileExistsError:
            if not replace:
                raise


def _forget(temporary: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _state(path: Path) -> tuple[int, int, int, int, bool]:
    """Device and inode, by which a file is known, and what changes with its content."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0, 0, False
    log = path.with_name(path.name + "-wal").exists()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, log
