"""The SQLite schema, its migrations, and the refusal of files that are not exactly this."""

from __future__ import annotations

import sqlite3
from functools import cache

from faceprint.errors import GalleryCorruptError

__all__ = ["APPLICATION_ID", "VERSION", "check_schema", "create", "migrate"]

APPLICATION_ID = 0x46507274  # "FPrt", in the file's header: what `file` and we tell galleries by

# Each step takes a gallery from version n to n + 1, inside one transaction. Never edit a step that
# was released: schemas are compared with what the steps give, text by text.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE gallery (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  uid TEXT NOT NULL,
  model TEXT NOT NULL,
  model_hash TEXT NOT NULL,
  dim INTEGER NOT NULL CHECK (dim BETWEEN 1 AND 4096),
  alignment TEXT NOT NULL,
  fusion TEXT NOT NULL CHECK (fusion IN ('max', 'mean')),
  policy TEXT NOT NULL,
  key_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  scrub INTEGER NOT NULL,
  audit_seq INTEGER NOT NULL,
  audit_hash TEXT NOT NULL,
  created TEXT NOT NULL
) STRICT""",
        """CREATE TABLE subjects (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  metadata TEXT NOT NULL,
  consent TEXT,
  created TEXT NOT NULL
) STRICT""",
        """CREATE TABLE templates (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  subject_key INTEGER NOT NULL REFERENCES subjects (key) ON DELETE CASCADE,
  content BLOB NOT NULL CHECK (length(content) = 32),
  source TEXT NOT NULL,
  box TEXT,
  quality REAL,
  norm REAL NOT NULL,
  created TEXT NOT NULL,
  vector BLOB NOT NULL,
  UNIQUE (subject_key, content)
) STRICT""",
        "CREATE INDEX templates_content ON templates (content)",
        "CREATE INDEX templates_created ON templates (created)",
        """CREATE TABLE crops (
  template_key INTEGER PRIMARY KEY REFERENCES templates (key) ON DELETE CASCADE,
  data BLOB NOT NULL
) STRICT""",
        """CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  time TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT""",
        """CREATE TRIGGER audit_keeps_lines BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER audit_keeps_text BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    ),
    (
        "ALTER TABLE gallery ADD COLUMN digest BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE gallery ADD COLUMN tag BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE subjects ADD COLUMN tag BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE templates ADD COLUMN crop_tag BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE templates ADD COLUMN tag BLOB NOT NULL DEFAULT x''",
        "CREATE INDEX templates_tag ON templates (tag, key)",
    ),
)

VERSION = len(_STEPS)
_Schema = frozenset[tuple[str, str, str, str | None]]


def _apply(connection: sqlite3.Connection, start: int, stop: int) -> None:
    for step in _STEPS[start:stop]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {stop:d}")


def create(connection: sqlite3.Connection) -> None:
    """Lay out an empty file, inside the caller's transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
    _apply(connection, 0, VERSION)


def _read(connection: sqlite3.Connection) -> _Schema:
    # ANALYZE's tables hold figures for the planner alone.
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


def check_schema(connection: sqlite3.Connection, location: str) -> int:
    """The schema's version, if every table, index and trigger is ours, to the letter.

    Raises:
        GalleryCorruptError: another application's file, a newer gallery, or anything added or
            changed: a trigger or view of a stranger would run with our rights.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise GalleryCorruptError(f"{location} is an SQLite file but not a faceprint gallery")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise GalleryCorruptError(
            f"{location} was made by a newer faceprint (gallery version {version}, this one knows "
            f"{VERSION}); upgrade faceprint"
        )
    found = _read(connection)
    expected = _expected(version) if version >= 1 else frozenset()
    if version < 1 or found != expected:
        odd = sorted(f"{kind} {name!r}" for kind, name, _, _ in found ^ expected)[:5]
        raise GalleryCorruptError(
            f"{location}: the schema is not a gallery's (added, missing or changed: "
            f"{', '.join(odd) or 'all of it'}); refused, as it could run a stranger's code"
        )
    return int(version)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring an older gallery up to VERSION, inside the caller's transaction."""
    _apply(connection, version, VERSION)
