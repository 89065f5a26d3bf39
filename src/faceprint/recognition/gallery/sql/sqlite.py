"""The embedded store: one SQLite file in WAL mode."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from faceprint import _sqlite
from faceprint._sqlite import Step, sqlite_errors
from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.sql.rows import HEADER, Table, header_columns
from faceprint.recognition.gallery.sql.sqlite_schema import GALLERY
from faceprint.recognition.gallery.sql.store import GalleryStore
from faceprint.recognition.gallery.sql.writer import SqlWriter, placeholders
from faceprint.recognition.gallery.vectors import MAX_DIM

__all__ = ["SqliteStore"]

_MAX_IN_MEMORY = 256 << 20
_PAGE_BYTES = 16_384  # holds seven 512-d templates; with 4096, half of each page would be empty
_VALUES_PER_QUERY = 400
_MAX_VECTOR = 4 * MAX_DIM + 64


@cache
def _select(columns: tuple[str, ...], version: int) -> str:
    chosen = []
    for name in columns:
        if version < 2 and name in ("digest", "tag", "crop_tag"):
            chosen.append("x''")
        elif name == "vector":
            # Cut off, so that no page of rows takes gigabytes, whatever a hostile file holds. What
            # was cut has a wrong length, which is noticed when it is unpacked.
            chosen.append(
                f"CASE WHEN length(vector) > {_MAX_VECTOR:d} THEN "
                f"substr(vector, 1, {_MAX_VECTOR:d}) ELSE vector END"
            )
        else:
            chosen.append(name)
    return ", ".join(chosen)


class SqliteDatabase:
    """A connection to a gallery's file, used by one thread at a time."""

    overriding = ""
    crops_per_page = 20  # a crop of a hostile file may have 16 MB

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.path = path.absolute()  # the working folder may change
        self.read_only = not _sqlite.is_writable(self.path)
        self.lock = threading.RLock()
        self.version = GALLERY.version
        self.connection = self._connect()
        self.opened = _file_state(self.path)

    def _connect(self) -> sqlite3.Connection:
        with sqlite_errors(self.location):
            GALLERY.check_header(self.path)
            return _sqlite.connect(self.path, read_only=self.read_only)

    def _reopen_if_changed(self) -> None:
        # SQLite assumes that a file it can't write never changes.
        state = _file_state(self.path)
        if state != self.opened:
            connection = self._connect()
            self.connection.close()
            self.connection, self.opened = connection, state

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            if self.read_only:
                self._reopen_if_changed()
            with sqlite_errors(self.location):
                return self.connection.execute(sql, values).fetchall()

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self.execute(sql, values).rowcount

    def execute(self, sql: str, values: Sequence[Any] = (), step: Step = "write") -> sqlite3.Cursor:
        """Run a statement; `step` says in an error's message what could not be done."""
        with sqlite_errors(self.location, step):
            return self.connection.execute(sql, values)

    def select(self, columns: tuple[str, ...]) -> str:
        return _select(columns, self.version)

    def any_of(self, column: str, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
        for start in range(0, len(values), _VALUES_PER_QUERY):
            chunk = values[start : start + _VALUES_PER_QUERY]
            yield f"{column} IN ({placeholders(chunk)})", chunk

    def next_key(self, table: Table) -> int:
        sql = (
            f"SELECT max(key) FROM {table} UNION ALL SELECT seq FROM sqlite_sequence WHERE name = ?"
        )
        used = [key for (key,) in self.fetch(sql, (table,)) if isinstance(key, int)]
        key = max([0, *used]) + 1
        if key >= 1 << 63:
            raise GalleryCorruptError(f"{self.location}: no key is left for {table}")
        return key

    def rollback(self) -> None:
        """Undo the open transaction, unless a failed commit did so itself."""
        if self.connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    def check_place(self, outcome: str) -> None:
        """Refuse to confirm what was written to a file that is no longer at its path."""
        if _file_state(self.path)[:2] != self.opened[:2]:
            self.rollback()
            if not self.path.exists():
                # Earlier transactions may be in the log, which did not move with the file.
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise GalleryError(
                f"{self.location} was moved, deleted or replaced while it was open; {outcome}. "
                "Open it again. To copy a gallery that is in use: faceprint gallery backup"
            )


class _SqliteWriter(SqlWriter):
    def delete_templates(self, keys: Sequence[int]) -> int:
        count = super().delete_templates(keys)
        self._delete_stray_crops()
        return count

    def delete_subject(self, key: int) -> None:
        super().delete_subject(key)
        self._delete_stray_crops()

    def _delete_stray_crops(self) -> None:
        # Where another program or a flipped bit changed a template's key, no cascade finds its crop
        self._database.change(
            "DELETE FROM crops WHERE template_key NOT IN (SELECT key FROM templates)"
        )


class SqliteStore(GalleryStore):
    """A gallery in a file. Safe across threads (one at a time) and processes, not across forks."""

    _database: SqliteDatabase

    def __init__(self, path: Path) -> None:
        database = SqliteDatabase(path)
        super().__init__(database)
        try:
            with sqlite_errors(self.location):
                database.version = GALLERY.check_schema(database.connection, self.location)
            if database.version < GALLERY.version and not self.read_only:
                self._upgrade()
        except BaseException:
            database.connection.close()
            raise

    @staticmethod
    def create(path: Path, header: Header) -> None:
        """Make a file with an empty gallery; keep one that is there already.

        Raises:
            GalleryError: it can't be written, or the write-ahead log of a missing gallery lies
                there: SQLite would replay that log into the new file.
        """
        log = path.with_name(path.name + "-wal")
        if log.exists() and not path.exists():
            raise GalleryError(
                f"{log} is there but {path} is not: the gallery was moved or deleted without its "
                "log; bring it back, or delete the log"
            )
        with (
            _sqlite.new_file(path, exist_ok=True) as temporary,
            sqlite_errors(str(path), "write"),
            contextlib.closing(_sqlite.connect(temporary)) as connection,
        ):
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES:d}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            GALLERY.create(connection)
            row = header_columns(header)
            connection.execute(
                f"INSERT INTO gallery (id, {', '.join(HEADER)}) VALUES (1, {placeholders(row)})",
                row,
            )
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _upgrade(self) -> None:
        database = self._database
        try:
            with sqlite_errors(self.location, "write"):
                database.connection.execute("BEGIN IMMEDIATE")
                version = GALLERY.check_schema(database.connection, self.location)
                GALLERY.migrate(database.connection, version)
                database.connection.execute("COMMIT")
        finally:
            database.rollback()
        database.version = GALLERY.version

    @property
    def read_only(self) -> bool:
        return self._database.read_only

    @property
    def files(self) -> list[Path]:
        path = self._database.path
        names = ("", "-wal", "-shm", "-journal", ".index", ".index.json")
        paths = (path.with_name(path.name + name) for name in names)
        return [path for path in paths if path.exists()]

    @contextlib.contextmanager
    def write(self) -> Iterator[SqlWriter]:
        database = self._database
        if self.read_only:
            raise GalleryError(
                f"{self.location} can't be written: the file or its folder is read-only"
            )
        with database.lock:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield _SqliteWriter(database)
                database.check_place("nothing of this step was stored")
                database.execute("COMMIT", step="commit")
                database.check_place("this step was stored in the file that is no longer there")
            finally:
                database.rollback()

    def scrub(self, *, thorough: bool = False) -> bool:
        # `secure_delete` is not enough. It overwrites a row in its place, but not the copies that
        # stay behind when SQLite moves rows between pages.
        if self.read_only:
            raise GalleryError(f"{self.location} is read-only")
        database, connection = self._database, self._database.connection
        with database.lock, sqlite_errors(self.location, "rewrite"):
            large = database.path.stat().st_size > _MAX_IN_MEMORY
            try:
                # Where VACUUM keeps its copy; as a file, it has no name.
                connection.execute(f"PRAGMA temp_store = {'FILE' if large else 'MEMORY'}")
                connection.execute("VACUUM")
            except sqlite3.OperationalError as error:
                if (error.sqlite_errorname or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                    return False
                raise
            finally:
                connection.execute("PRAGMA temp_store = MEMORY")
            deadline = time.monotonic() + 5
            while True:
                (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy or time.monotonic() > deadline:
                    return not busy
                time.sleep(0.05)

    def backup(self, path: Path) -> None:
        if path.exists():
            raise GalleryError(f"{path} is there already; a backup never replaces a file")
        for interrupted in path.parent.glob(f".{path.name}.*.new"):
            interrupted.unlink(missing_ok=True)  # of a backup that was killed
        with (
            _sqlite.new_file(path, exist_ok=False) as temporary,
            contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as target,
            self._database.lock,
            sqlite_errors(str(path), "rewrite"),
        ):
            self._database.connection.backup(target)

    def check(self) -> list[str]:
        fetch = self._database.fetch
        problems = [str(text) for (text,) in fetch("PRAGMA integrity_check(20)") if text != "ok"]
        for table, _, parent, _ in fetch("PRAGMA foreign_key_check"):
            problems.append(f"a row of {table} refers to a row of {parent} that does not exist")
        return problems

    def cache_path(self) -> Path | None:
        path = self._database.path
        return path.with_name(path.name + ".index")

    def close(self) -> None:
        with self._database.lock:
            self._database.connection.close()


def _file_state(path: Path) -> tuple[int, int, int, int, bool]:
    """Device and inode, which identify a file, and what changes with its content."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0, 0, False
    log = path.with_name(path.name + "-wal").exists()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, log
