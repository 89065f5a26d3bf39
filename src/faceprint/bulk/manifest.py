"""Records which photographs of a bulk run are done, and which part file holds their faces.

One SQLite file beside the parts, synced at each commit. Its key is the SHA-256 of a photograph's
bytes: a photograph that was renamed, listed twice or listed in another order is not embedded again;
one whose bytes changed is. Memory is constant: no list of all photographs is held.
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


State = Literal["new", "done", "duplicate", "unreadable"]
"""Of a photograph; `done` in an earlier run, `duplicate` of an earlier one of the input."""


class Entry(NamedTuple):
    """One photograph of the input.

    Attributes:
        duplicate_of: the first photograph of the input with the same bytes; None for that one.
        part, first, faces: it has so many faces, from row `first` of that part file.
    """

    source: str
    duplicate_of: str | None
    part: int | None
    first: int | None
    faces: int
    error: str | None


class Totals(NamedTuple):
    """Photographs, faces, and the photographs that failed, have no face, or are duplicates."""

    images: int
    faces: int
    failed: int
    faceless: int
    duplicates: int


class Manifest:
    """The state of a bulk run, in a folder of its own."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        """Open the manifest of a folder, or start one.

        Args:
            options: models and settings that the rows depend on.

        Raises:
            ModelMismatchError: the run was started with other models or options.
            UsageError: another process is writing it.
            DatasetError: damaged.
        """
        self.folder = folder
        path = folder / "manifest.sqlite"
        with sqlite_errors(path):
            self._db = connect(path, create=True, busy_ms=200)
        try:
            with sqlite_errors(path):
                self._open(dict(options))
        except BaseException:
            self._db.close()
            raise

    def _open(self, options: dict[str, str]) -> None:
        db = self._db
        # Exclusive: a second process on the same folder is refused at its first statement.
        db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;")
        # In KB. It fills within a few thousand photographs, and memory is constant from then on.
        db.execute("PRAGMA cache_size = -512")
        db.execute("BEGIN EXCLUSIVE")
        if not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            # executescript would commit first; single statements stay in the transaction.
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
                f"{self.folder} was started with {was or 'other options'}; its rows can't be mixed "
                "with new ones. Give the same options, or --overwrite to start again"
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
        """Make all changes durable."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def list_inputs(self, sources: Iterable[str]) -> int:
        """Store the names of the photographs of this run, in order, and return their number."""
        self.begin()
        self._db.execute("DELETE FROM input")
        self._db.executemany(
            "INSERT INTO input (source) VALUES (?)", ((os.fsencode(s),) for s in sources)
        )
        self.commit()
        return self._count("SELECT count(*) FROM input")

    def inputs(self) -> Iterator[tuple[int, str, Content | None]]:
        """Position and name of every photograph, and its content as of an earlier run."""
        position = 0
        sql = (
            "SELECT position, i.source, stamp, size, k.digest FROM input i "
            "LEFT JOIN known k ON k.source = i.source WHERE position > ? ORDER BY position LIMIT ?"
        )
        # In pages: an open cursor would see, or block, the writes in between.
        while page := self._db.execute(sql, (position, 1000)).fetchall():
            if page[-1][0] <= position:  # in a damaged file pages would never end
                raise DatasetError(
                    f"{self.folder}: damaged (rows out of order); --overwrite starts again"
                )
            position = page[-1][0]
            for where, source, stamp, size, digest in page:
                yield (
                    where,
                    os.fsdecode(source),
                    None if stamp is None else Content(stamp, size, digest),
                )

    def record_content(self, position: int, source: str, content: Content) -> State:
        """Record a photograph's content, and return whether it has to be embedded.

        Durable with the next `record` or `commit`.
        """
        self.begin()
        db, digest = self._db, content.digest
        if digest is None:
            db.execute("UPDATE input SET error = ? WHERE position = ?", (content.error, position))
            return "unreadable"
        first = db.execute(
            "SELECT min(position) FROM input WHERE digest = ? AND position < ?", (digest, position)
        ).fetchone()[0]
        db.execute(
            "UPDATE input SET digest = ?, first = ? WHERE position = ?",
            (digest, first, position),
        )
        known = (os.fsencode(source), content.stamp, content.size, digest)
        db.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", known)
        if first is not None:
            return "duplicate"
        done = db.execute("SELECT 1 FROM content WHERE digest = ?", (digest,)).fetchone()
        return "new" if done is None else "done"

    def next_part(self) -> int:
        """The number of the next part file."""
        return 1 + self._count("SELECT coalesce(max(number), 0) FROM part")

    def begin_part(self, digests: Sequence[bytes]) -> bool:
        """Record that a part is started; durable when this returns.

        Returns:
            Whether an earlier run ended while it was at one of these photographs.
        """
        self.begin()
        suspect = any(self._db.execute(_BEGUN, (digest,)).fetchone() for digest in digests)
        self._db.executemany("INSERT OR IGNORE INTO begun VALUES (?)", ((d,) for d in digests))
        self.commit()
        return suspect

    def record(self, part: int, digests: Sequence[bytes], outcome: Outcome) -> None:
        """Record a part file that is written; durable when this returns."""
        first, rows = 0, []
        for digest, faces, error in zip(digests, outcome.counts, outcome.errors, strict=True):
            if error != CHANGED:
                rows.append((digest, part, first, faces, error))
            first += faces
        self.begin()
        self._db.executemany("DELETE FROM begun WHERE digest = ?", ((d,) for d in digests))
        self._db.execute("INSERT INTO part VALUES (?, ?)", (part, len(outcome.faces)))
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
                Entry(os.fsdecode(source), None if first is None else os.fsdecode(first), *rest)
                for source, first, *rest in page
            ]

    def totals(self) -> Totals:
        """Counts of this run."""
        sql = (
            "SELECT count(*), coalesce(sum(faces), 0), count(error),"
            " coalesce(sum(faces = 0 AND error IS NULL), 0), count(twin) FROM entry"
        )
        return Totals(*self._db.execute(sql).fetchone())

    def reasons(self) -> dict[str, tuple[int, str]]:
        """By reason, how many photographs failed and the first of them; most frequent first."""
        found: dict[str, tuple[int, str]] = {}
        # With min() SQLite takes the other columns from the same row.
        sql = """SELECT error, count(*), min(position), source FROM entry WHERE error NOT NULL
                 GROUP BY error ORDER BY 3"""
        for error, number, _, source in self._db.execute(sql):
            before, first = found.get(reason(error), (0, os.fsdecode(source)))
            found[reason(error)] = before + number, first
        return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))

    def longest(self) -> tuple[int, int]:
        """Characters of the longest name, as the table writes it, and of the longest error."""
        # A byte that is not UTF-8 is written as four characters.
        self._db.create_function("letters", 1, lambda name: len(printable(os.fsdecode(name))))
        sql = "SELECT max(letters(source)), max(length(error)) FROM entry"
        source, error = self._db.execute(sql).fetchone()
        return source or 1, error or 1

    def stamps(self) -> Iterator[tuple[str, str]]:
        """Name and stamp of each photograph of this run, in order; "" for an unknown stamp."""
        sql = (
            "SELECT i.source, k.stamp FROM input i LEFT JOIN known k ON k.source = i.source"
            " ORDER BY i.position"
        )
        for source, stamp in self._db.execute(sql):
            yield os.fsdecode(source), stamp or ""

    def _count(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as this package's, and those of the disk as OSError."""
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
        raise DatasetError(f"{path}: damaged ({error}); --overwrite starts again") from error
