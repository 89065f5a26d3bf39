"""The manifest: which contents are done, and in which part file; durable after every part.

One SQLite file beside the parts, written with a sync at each commit. Keyed by content (SHA-256), so
that a photograph that was renamed, named twice or listed in another order is not done again, and
one whose bytes changed is. Memory stays flat: nothing here is held as a list.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from faceprint._sqlite import connect
from faceprint._text import printable
from faceprint.bulk.work import CHANGED, Content, Outcome, reason
from faceprint.errors import DatasetError, ModelMismatchError, UsageError

__all__ = ["Entry", "Manifest", "Totals"]

_SCHEMA = f"""
CREATE TABLE options (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE part (number INTEGER PRIMARY KEY, faces INTEGER NOT NULL);
CREATE TABLE content (
  digest BLOB PRIMARY KEY, part INTEGER, first INTEGER, faces INTEGER NOT NULL, error TEXT
) WITHOUT ROWID;
CREATE TABLE known (source BLOB PRIMARY KEY, stamp TEXT, size INTEGER, digest BLOB) WITHOUT ROWID;
CREATE TABLE input (
  position INTEGER PRIMARY KEY, source BLOB NOT NULL, digest BLOB, error TEXT, first INTEGER
);
CREATE INDEX input_digest ON input (digest);
CREATE VIEW entry AS
SELECT i.position, i.source, t.source AS twin, c.part, c.first AS row,
       coalesce(c.faces, 0) AS faces,
       CASE WHEN i.digest IS NULL THEN coalesce(i.error, '{CHANGED}')
            WHEN c.digest IS NULL THEN '{CHANGED}' ELSE c.error END AS error
FROM input i LEFT JOIN content c ON c.digest = i.digest
             LEFT JOIN input t ON t.position = i.first;
PRAGMA application_id = 1718645346;
PRAGMA user_version = 1;
"""
_BEGUN = "SELECT 1 FROM begun WHERE digest = ?"
_COLUMNS = "source, twin, part, row, faces, error"

State = Literal["new", "done", "twin", "unreadable"]
"""Of a photograph: to be done, done in an earlier run, the same bytes as one before, or neither."""


class Entry(NamedTuple):
    """One photograph of the input.

    Attributes:
        twin: the first photograph of the input with the same bytes; None for that one itself.
        part, first, faces: its faces are that many from row `first` of that part file.
    """

    source: str
    twin: str | None
    part: int | None
    first: int | None
    faces: int
    error: str | None


class Totals(NamedTuple):
    """Photographs, rows of faces, photographs that failed, without a face, and named twice."""

    images: int
    faces: int
    failed: int
    faceless: int
    duplicates: int


class Manifest:
    """What is done of a run, in a folder that nothing else writes."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        """Open the manifest of a folder, or begin one.

        Args:
            options: what rows depend on: models and settings. Another run's are refused.

        Raises:
            ModelMismatchError: it was begun with other models or options.
            UsageError: another process is writing it.
            DatasetError: damaged.
        """
        self.folder = folder
        path = folder / "manifest.sqlite"
        with plain(path):
            self._db = connect(path, create=True, busy_ms=200)
        try:
            with plain(path):
                self._open(dict(options))
        except BaseException:
            self._db.close()
            raise

    def _open(self, options: dict[str, str]) -> None:
        db = self._db
        # Exclusive: a second process on the same folder is refused at its first statement.
        db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;")
        # In KB: filled within a few thousand photographs, so that memory is flat from there on.
        db.execute("PRAGMA cache_size = -512")
        db.execute("BEGIN EXCLUSIVE")
        if not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            # executescript would commit first; one statement at a time stays inside.
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.executemany("INSERT INTO options VALUES (?, ?)", options.items())
        db.execute("CREATE TABLE IF NOT EXISTS begun (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        db.execute("COMMIT")
        found = dict(db.execute("SELECT name, value FROM options"))
        differing = [name for name in options if found.get(name) != options[name]]
        if differing or set(found) != set(options):
            was = ", ".join(f"{name} {found.get(name)} (now {options[name]})" for name in differing)
            raise ModelMismatchError(
                f"{self.folder} was begun with {was or 'other options'}; its rows do not mix with "
                "new ones. Give the same options, or --overwrite to start anew"
            )

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; what was committed stays."""
        self._db.close()

    def begin(self) -> None:
        """Begin a transaction unless one is open."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make what was noted durable."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def list_inputs(self, sources: Iterable[str]) -> int:
        """Take down the photographs of this run, in order; gives their number."""
        self.begin()
        self._db.execute("DELETE FROM input")
        self._db.executemany(
            "INSERT INTO input (source) VALUES (?)", ((os.fsencode(s),) for s in sources)
        )
        self.commit()
        return self._count("SELECT count(*) FROM input")

    def inputs(self) -> Iterator[tuple[int, str, Content | None]]:
        """Position, name and what an earlier run knew of every photograph."""
        position = 0
        sql = (
            "SELECT position, i.source, stamp, size, k.digest FROM input i "
            "LEFT JOIN known k ON k.source = i.source WHERE position > ? ORDER BY position LIMIT ?"
        )
        # In pages: a cursor that stays open would see, or block, the writes in between.
        while page := self._db.execute(sql, (position, 1000)).fetchall():
            position = page[-1][0]
            for where, source, stamp, size, digest in page:
                yield (
                    where,
                    os.fsdecode(source),
                    None if stamp is None else Content(stamp, size, digest),
                )

    def pin(self, position: int, source: str, content: Content) -> State:
        """Note what a photograph holds, and whether that has to be done.

        Durable with the next `record` or `commit`.
        """
        self.begin()
        db, digest = self._db, content.digest
        if digest is None:
            db.execute("UPDATE input SET error = ? WHERE position = ?", (content.error, position))
            return "unreadable"
        twin = db.execute(
            "SELECT min(position) FROM input WHERE digest = ? AND position < ?", (digest, position)
        ).fetchone()[0]
        db.execute(
            "UPDATE input SET digest = ?, first = ? WHERE position = ?", (digest, twin, position)
        )
        known = (os.fsencode(source), content.stamp, content.size, digest)
        db.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", known)
        if twin is not None:
            return "twin"
        return "done" if self._is_done(digest) else "new"

    def _is_done(self, digest: bytes) -> bool:
        """Whether that content is in a part file."""
        row = self._db.execute("SELECT 1 FROM content WHERE digest = ?", (digest,)).fetchone()
        return row is not None

    def next_part(self) -> int:
        """The number of the next part file."""
        return 1 + self._count("SELECT coalesce(max(number), 0) FROM part")

    def begin_part(self, digests: Sequence[bytes]) -> bool:
        """Note that a part is begun; durable when this returns.

        Returns:
            Whether an earlier run was at one of these photographs when it ended.
        """
        self.begin()
        suspect = any(self._db.execute(_BEGUN, (digest,)).fetchone() for digest in digests)
        self._db.executemany("INSERT OR IGNORE INTO begun VALUES (?)", ((d,) for d in digests))
        self.commit()
        return suspect

    def record(self, part: int, digests: Sequence[bytes], outcome: Outcome) -> None:
        """Note a part file that is in place; durable when this returns."""
        first, rows = 0, []
        for digest, faces, error in zip(digests, outcome.counts, outcome.errors, strict=True):
            if error != CHANGED:
                rows.append((digest, part, first, faces, error))
            first += faces
        self.begin()
        self._db.executemany("DELETE FROM begun WHERE digest = ?", ((d,) for d in digests))
        self._db.execute("INSERT INTO part VALUES (?, ?)", (part, len(outcome.rows)))
        self._db.executemany("INSERT INTO content VALUES (?, ?, ?, ?, ?)", rows)
        gone = zip(digests, outcome.errors, strict=True)
        self._db.executemany(
            "DELETE FROM known WHERE digest = ?", ((d,) for d, error in gone if error == CHANGED)
        )
        self.commit()

    def entries(self, size: int) -> Iterator[list[Entry]]:
        """The photographs of this run in order, `size` at a time."""
        cursor = self._db.execute(f"SELECT {_COLUMNS} FROM entry ORDER BY position")
        while page := cursor.fetchmany(size):
            yield [
                Entry(os.fsdecode(source), None if twin is None else os.fsdecode(twin), *rest)
                for source, twin, *rest in page
            ]

    def totals(self) -> Totals:
        """Counts over the photographs of this run."""
        sql = (
            "SELECT count(*), coalesce(sum(faces), 0), count(error),"
            " coalesce(sum(faces = 0 AND error IS NULL), 0), count(twin) FROM entry"
        )
        return Totals(*self._db.execute(sql).fetchone())

    def reasons(self) -> dict[str, tuple[int, str]]:
        """How many photographs failed and the first of them, by reason, most frequent first."""
        found: dict[str, tuple[int, str]] = {}
        # With min() SQLite takes the other columns from the row that has it.
        sql = """SELECT error, count(*), min(position), source FROM entry WHERE error NOT NULL
                 GROUP BY error ORDER BY 3"""
        for error, number, _, source in self._db.execute(sql):
            before, first = found.get(reason(error), (0, os.fsdecode(source)))
            found[reason(error)] = before + number, first
        return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))

    def longest(self) -> tuple[int, int]:
        """Characters of the longest name, as the table has it, and of the longest error."""
        # Not bytes: one that is not UTF-8 is written with four characters.
        self._db.create_function("letters", 1, _letters, deterministic=True)
        sql = "SELECT max(letters(source)), max(length(error)) FROM entry"
        source, error = self._db.execute(sql).fetchone()
        return source or 1, error or 1

    def stamps(self) -> Iterator[tuple[str, str]]:
        """Name and stamp of the photographs of this run, in order; "" where it isn't known."""
        sql = (
            "SELECT i.source, k.stamp FROM input i LEFT JOIN known k ON k.source = i.source"
            " ORDER BY i.position"
        )
        for source, stamp in self._db.execute(sql):
            yield os.fsdecode(source), stamp or ""

    def _count(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])


def _letters(name: bytes) -> int:
    return len(printable(os.fsdecode(name)))


@contextlib.contextmanager
def plain(path: Path) -> Iterator[None]:
    """SQLite's errors in the words of the rest; those of the disk as OSError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise UsageError(f"{path}: another run is writing it") from error
        if code == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise OSError(errno.EIO, str(error), str(path)) from error
        raise DatasetError(f"{path}: damaged ({error}); --overwrite starts anew") from error
