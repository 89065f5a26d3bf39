"""The PostgreSQL schema and its migrations."""

from __future__ import annotations

from typing import Any

from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.sql.rows import HEADER, header_columns

__all__ = ["MAX_INDEXED_DIM", "VERSION", "ensure", "index_vectors", "unindex_vectors"]

MAX_INDEXED_DIM = 4000
"""The most dimensions that pgvector indexes as halfvec."""

# Each step takes a gallery from version n to n + 1, inside one transaction. Never edit a step that
# was released. Names sort by bytes (COLLATE "C"), as in SQLite.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE gallery (
  id integer PRIMARY KEY CHECK (id = 1),
  version integer NOT NULL,
  uid text NOT NULL,
  model text NOT NULL,
  model_hash text NOT NULL,
  dim integer NOT NULL CHECK (dim BETWEEN 1 AND 4096),
  alignment text NOT NULL,
  fusion text NOT NULL CHECK (fusion IN ('max', 'mean')),
  policy text NOT NULL,
  key_id text NOT NULL,
  generation bigint NOT NULL,
  epoch bigint NOT NULL,
  scrub integer NOT NULL,
  audit_seq bigint NOT NULL,
  audit_hash text NOT NULL,
  created text NOT NULL
)""",
        """CREATE TABLE subjects (
  key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid text NOT NULL UNIQUE,
  name text COLLATE "C" NOT NULL UNIQUE,
  metadata text NOT NULL,
  consent text,
  created text NOT NULL
)""",
        """CREATE TABLE templates (
  key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject_key bigint NOT NULL REFERENCES subjects (key) ON DELETE CASCADE,
  content bytea NOT NULL CHECK (length(content) = 32),
  source text NOT NULL,
  box text,
  quality double precision,
  norm double precision NOT NULL,
  created text COLLATE "C" NOT NULL,
  vector bytea NOT NULL,
  near halfvec,
  UNIQUE (subject_key, content)
)""",
        # float32 noise does not compress; trying costs time at every insert.
        "ALTER TABLE templates ALTER COLUMN vector SET STORAGE EXTERNAL",
        "CREATE INDEX templates_content ON templates (content)",
        "CREATE INDEX templates_created ON templates (created)",
        """CREATE TABLE crops (
  template_key bigint PRIMARY KEY REFERENCES templates (key) ON DELETE CASCADE,
  data bytea NOT NULL
)""",
        "ALTER TABLE crops ALTER COLUMN data SET STORAGE EXTERNAL",
        """CREATE TABLE audit (
  seq bigint PRIMARY KEY,
  time text NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  detail text NOT NULL,
  prev text NOT NULL,
  hash text NOT NULL
)""",
        """CREATE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
        """CREATE TRIGGER audit_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_keeps()""",
    ),
    (
        "ALTER TABLE gallery ADD COLUMN digest bytea NOT NULL DEFAULT ''",
        "ALTER TABLE gallery ADD COLUMN tag bytea NOT NULL DEFAULT ''",
        "ALTER TABLE subjects ADD COLUMN tag bytea NOT NULL DEFAULT ''",
        "ALTER TABLE templates ADD COLUMN crop_tag bytea NOT NULL DEFAULT ''",
        "ALTER TABLE templates ADD COLUMN tag bytea NOT NULL DEFAULT ''",
        "CREATE INDEX templates_tag ON templates (tag, key)",
    ),
)

VERSION = len(_STEPS)


def ensure(connection: Any, schema: str, header: Header | None, location: str) -> None:
    """Make the gallery when there is none and a header is given; upgrade an older one.

    Raises:
        GalleryError: there is none and no header, or pgvector is not installed.
        GalleryCorruptError: the schema holds something else, or a newer gallery.
    """
    with connection.transaction():
        # Of two that create or migrate at once, the second waits and finds the work done.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"faceprint {schema}",))
        if _exists(connection, f"{schema}.gallery"):
            _upgrade(connection, location)
            return
        if header is None:
            raise GalleryError(
                f"there is no gallery at {location}; create one with: faceprint enroll {location} "
                "NAME PHOTO"
            )
        occupied = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)", (schema,)
        ).fetchone()
        if occupied:
            raise GalleryCorruptError(
                f"{location}: the schema {schema} contains {occupied[0]!r} and no gallery; "
                "choose another with ?schema=NAME"
            )
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        _apply(connection, 0)
        connection.execute(
            f"INSERT INTO gallery (id, version, {', '.join(HEADER)}) VALUES (1, {VERSION:d}, "
            f"{', '.join(['%s'] * len(HEADER))})",
            header_columns(header),
        )
        if not header.key_id:
            index_vectors(connection, header.model.dim)


def _exists(connection: Any, table: str) -> bool:
    return bool(connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()[0])


def _upgrade(connection: Any, location: str) -> None:
    row = connection.execute("SELECT version FROM gallery WHERE id = 1").fetchone()
    if row is None:
        raise GalleryCorruptError(f"{location}: the gallery's header is missing")
    (version,) = row
    if version > VERSION:
        raise GalleryCorruptError(
            f"{location} was made by a newer faceprint (gallery version {version}, this one reads "
            f"up to {VERSION}); upgrade faceprint"
        )
    if version < VERSION:
        _apply(connection, version)
        connection.execute("UPDATE gallery SET version = %s", (VERSION,))


def _apply(connection: Any, start: int) -> None:
    for step in _STEPS[start:]:
        for statement in step:
            connection.execute(statement)


def index_vectors(connection: Any, dim: int) -> None:
    """Set the length of `near` and build its HNSW graph, inside the caller's transaction."""
    connection.execute(f"ALTER TABLE templates ALTER COLUMN near TYPE halfvec({dim:d})")
    if dim <= MAX_INDEXED_DIM:
        # For unit vectors the inner product is the cosine, and costs less.
        connection.execute(
            "CREATE INDEX templates_near ON templates USING hnsw (near halfvec_ip_ops) "
            "WITH (m = 16, ef_construction = 128)"
        )


def unindex_vectors(connection: Any) -> None:
    """Drop the graph and empty `near`, inside the caller's transaction."""
    connection.execute("DROP INDEX IF EXISTS templates_near")
    connection.execute("ALTER TABLE templates ALTER COLUMN near TYPE halfvec USING NULL")
