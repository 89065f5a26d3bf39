"""The embedded store: one SQLite file in WAL mode, opened as if a stranger had made it."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from faceprint._files import sync_folder
from faceprint.errors import GalleryError
from faceprint.recognition.gallery import schema_sqlite
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.sql_rows import HEADER, header_to_row
from faceprint.recognition.gallery.sqlite_access import SqliteReader, SqliteWriter, marks
from faceprint.recognition.gallery.sqlite_connect import configured, connect, plain_errors
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import VectorIndex

__all__ = ["SqliteStore"]

_PAGE = 16_384  # holds seven 512-d templates; the default of 4096 would waste half a page on each


class SqliteStore(SqliteReader):
    """A gallery in a file. Safe across threads (one at a time) and processes, not across forks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with plain_errors(str(path)):
            connection = connect(path)
        super().__init__(connection, str(path), threading.RLock())
        try:
            with plain_errors(str(path)):
                version = schema_sqlite.check_schema(connection, str(path))
                if version < schema_sqlite.VERSION:
                    self._upgrade()
        except BaseException:
            connection.close()
            raise

    @property
    def location(self) -> str:
        """The file's path."""
        return str(self.path)

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
            with plain_errors(str(path)):
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                _lay_out(temporary, header)
            _publish(temporary, path)
        except OSError as error:
            raise GalleryError(f"{path} can't be made: {error.strerror}") from error
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)
        sync_folder(path.parent)

    def _upgrade(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
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
        with self._lock:
            with plain_errors(self.location):
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteWriter(self._connection, self.location, self._lock)
                with plain_errors(self.location):
                    self._connection.execute("COMMIT")
            finally:
                self._rollback()

    def scrub(self, *, thorough: bool = False) -> bool:
        """Empty the write-ahead log; with `thorough`, write the whole file anew (VACUUM)."""
        with self._lock, plain_errors(self.location):
            if thorough:
                self._connection.execute("VACUUM")
            deadline = time.monotonic() + 5
            while True:
                (busy, _, _) = self._connection.execute(
                    "PRAGMA wal_checkpoint(TRUNCATE)"
                ).fetchone()
                if not busy or time.monotonic() > deadline:
                    return not busy
                time.sleep(0.05)

    def check(self) -> list[str]:
        """SQLite's own integrity check, and references that lead nowhere."""
        problems = [str(row[0]) for row in self._rows("PRAGMA integrity_check(20)")]
        broken = self._rows("PRAGMA foreign_key_check")
        problems += [f"a row of {row[0]} refers to a {row[2]} row that is gone" for row in broken]
        return [problem for problem in problems if problem != "ok"]

    def native_search(self, header: Header) -> tuple[VectorIndex, Owners] | None:
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


def _publish(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:
        # A file system without hard links: a rename would replace, so the name is taken first.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            temporary.replace(path)
