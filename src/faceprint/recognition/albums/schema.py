"""The album file's SQLite schema; files with any other schema are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from faceprint.errors import GalleryCorruptError

__all__ = ["APPLICATION_ID", "VERSION", "check_face", "check_schema", "create", "migrate"]

APPLICATION_ID = 0x4650616C  # "FPal", in the file's header

# Never edit a released step: schemas are compared with the result of the steps, as text.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE album (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  embedder TEXT NOT NULL,
  dim INTEGER NOT NULL CHECK (dim BETWEEN 0 AND 4096),
  next_person INTEGER NOT NULL,
  created TEXT NOT NULL
) STRICT""",
        """CREATE TABLE photos (
  key INTEGER PRIMARY KEY,
  source TEXT NOT NULL UNIQUE,
  size INTEGER,
  modified INTEGER
) STRICT""",
        """CREATE TABLE people (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL
) STRICT""",
        """CREATE TABLE faces (
  key INTEGER PRIMARY KEY,
  photo INTEGER NOT NULL REFERENCES photos (key) ON DELETE CASCADE,
  person INTEGER REFERENCES people (id) ON DELETE SET NULL,
  box BLOB NOT NULL CHECK (length(box) = 16),
  score REAL NOT NULL,
  quality BLOB NOT NULL CHECK (length(quality) = 16),
  vector BLOB NOT NULL,
  thumbnail BLOB
) STRICT""",
        "CREATE INDEX faces_photo ON faces (photo)",
        "CREATE INDEX faces_person ON faces (person)",
        """CREATE TABLE links (
  key INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('must', 'cannot')),
  a INTEGER NOT NULL REFERENCES faces (key) ON DELETE CASCADE,
  b INTEGER NOT NULL REFERENCES faces (key) ON DELETE CASCADE,
  UNIQUE (kind, a, b)
) STRICT""",
        "CREATE INDEX links_b ON links (b)",
        """CREATE TABLE joined (
  id INTEGER PRIMARY KEY,
  person INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE
) STRICT""",
        "CREATE INDEX joined_person ON joined (person)",
    ),
    (  # photographs are known by their content; missing ones are kept
        """CREATE TABLE photos_2 (
  key INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  name TEXT NOT NULL,
  digest BLOB CHECK (length(digest) = 32),
  size INTEGER,
  modified INTEGER,
  missing TEXT
) STRICT""",
        "INSERT INTO photos_2 SELECT key, source, source, NULL, size, modified, NULL FROM photos",
        "DROP TABLE photos",
        "ALTER TABLE photos_2 RENAME TO photos",
        "CREATE INDEX photos_source ON photos (source)",
    ),
)

VERSION = len(_STEPS)
_Schema = frozenset[tuple[str, str, str, str | None]]


def create(connection: sqlite3.Connection) -> None:
    """Create the tables of an empty file, inside the caller's transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
    _apply(connection, 0, VERSION)


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate an album of an earlier version in one transaction."""
    # Dropping a table to recreate it would delete the faces that refer to it.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            _apply(connection, version, VERSION)
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise sqlite3.IntegrityError("faces of photographs that are not there")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _apply(connection: sqlite3.Connection, start: int, stop: int) -> None:
    for step in _STEPS[start:stop]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {stop:d}")


def check_schema(connection: sqlite3.Connection, location: str) -> int:
    """The schema's version, if every table, index and trigger is exactly ours.

    Raises:
        GalleryCorruptError: another application's file, a newer album, or anything added or
            changed: a trigger or view of a stranger would run with our rights. And damaged rows.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise GalleryCorruptError(f"{location} is an SQLite file but not a faceprint album")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise GalleryCorruptError(
            f"{location} was made by a newer faceprint (album version {version}, this one knows "
            f"{VERSION}); upgrade faceprint"
        )
    expected = _expected(version) if version >= 1 else frozenset()
    odd = sorted(f"{kind} {name!r}" for kind, name, _, _ in _read(connection) ^ expected)[:5]
    if odd or version < 1:
        raise GalleryCorruptError(
            f"{location}: the schema is not an album's ({', '.join(odd)}); refused, as it could "
            "run a stranger's code"
        )
    _check_rows(connection, location)
    return int(version)


def _read(connection: sqlite3.Connection) -> _Schema:
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_stat_'"
        " ESCAPE '\\'"
    )
    return frozenset((str(a), str(b), str(c), None if d is None else str(d)) for a, b, c, d in rows)


@cache
def _expected(version: int) -> _Schema:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _apply(connection, 0, version)
        return _read(connection)
    finally:
        connection.close()


def _check_rows(connection: sqlite3.Connection, location: str) -> None:
    """Refuse rows that refer to rows that are gone, and values that their columns don't take.

    The faces' own values are left to `check_face`, which sees each of them once.

    Raises:
        GalleryCorruptError: such a row.
    """
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        raise GalleryCorruptError(
            f"{location}: a row of {table} refers to a {parent} row that is gone"
        )
    for table in ("album", "photos", "people", "links", "joined"):
        for (found,) in connection.execute(f"PRAGMA quick_check({table})"):
            if found != "ok":
                raise GalleryCorruptError(f"{location} is damaged: {found}")


def check_face(row: Sequence[object], width: int, path: Path) -> None:
    """Refuse a damaged face: SQLite's own checks can be bypassed."""
    for name, column, length in (("box", 1, 4), ("quality", 3, 4), ("vector", 4, width)):
        value = row[column]
        if not isinstance(value, bytes) or len(value) != 4 * length:
            raise GalleryCorruptError(f"{path}: a {name} that is not {length} numbers long")
    picture, key, person = row[5:8]
    whole = isinstance(key, int) and isinstance(person, int | None)
    if not whole or not isinstance(row[2], int | float) or not isinstance(picture, bytes | None):
        raise GalleryCorruptError(f"{path}: a face whose score, picture or person is damaged")
