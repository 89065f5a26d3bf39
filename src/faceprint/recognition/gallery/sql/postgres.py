"""The shared store: a schema of a PostgreSQL database with pgvector, for many machines at once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._optional import require
from faceprint._text import counted
from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery.records import Header, TemplateRow
from faceprint.recognition.gallery.sql import postgres_schema
from faceprint.recognition.gallery.sql.postgres_connection import (
    Address,
    connect,
    make_pool,
    parse_address,
    postgres_errors,
)
from faceprint.recognition.gallery.sql.postgres_search import PgvectorIndex, PostgresOwners
from faceprint.recognition.gallery.sql.reader import MIN_KEY
from faceprint.recognition.gallery.sql.rows import Table
from faceprint.recognition.gallery.sql.store import Authenticate, GalleryStore
from faceprint.recognition.gallery.sql.writer import SqlWriter
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import VectorIndex

__all__ = ["PostgresStore"]


class PostgresDatabase:
    """Queries, each on a connection that is borrowed from a pool while it runs."""

    overriding = "OVERRIDING SYSTEM VALUE"
    crops_per_page = 100

    def __init__(self, borrow: Callable[[], AbstractContextManager[Any]], location: str) -> None:
        self.borrow, self.location = borrow, location

    @contextlib.contextmanager
    def execute(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """The cursor of a statement, while its connection is borrowed."""
        with postgres_errors(self.location), self.borrow() as connection:
            yield connection.execute(sql.replace("?", "%s"), values)

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.execute(sql, values) as cursor:
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        with self.execute(sql, values) as cursor:
            return int(cursor.rowcount)

    def select(self, columns: tuple[str, ...]) -> str:
        return ", ".join(columns)

    def any_of(self, column: str, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
        yield f"{column} = ANY(?)", (list(values),)

    def next_key(self, table: Table) -> int:
        ((key,),) = self.fetch("SELECT nextval(pg_get_serial_sequence(?, 'key'))", (table,))
        return int(key)


class _PostgresWriter(SqlWriter):
    """Also keeps `near`, the vectors as halfvec for the server's graph.

    `near` is empty in an encrypted gallery: a graph needs vectors in the clear.
    """

    _database: PostgresDatabase

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self._start = self.header()
        self._vectors_replaced = False
        self._half = require("pgvector", extra="postgres").HalfVector

    def _template_values(self, row: TemplateRow) -> dict[str, Any]:
        near = None if self._start.key_id else self._near(row.vector, self._start.model.dim)
        return super()._template_values(row) | {"near": near}

    def replace_vector(self, row: TemplateRow) -> None:
        self._vectors_replaced = True
        super().replace_vector(row)

    def finish(self) -> None:
        """Rebuild the server's graph if vectors were replaced; the last step before a commit."""
        header, start = self.header(), self._start
        unchanged = (header.model.dim, header.key_id) == (start.model.dim, start.key_id)
        if unchanged and not self._vectors_replaced:
            return
        with postgres_errors(self.location), self._database.borrow() as connection:
            postgres_schema.unindex_vectors(connection)
            if header.key_id:
                return
            for page in self.vectors():
                near = [(self._near(row.vector, header.model.dim), row.key) for row in page]
                connection.cursor().executemany(
                    "UPDATE templates SET near = %s WHERE key = %s", near
                )
            postgres_schema.index_vectors(connection, header.model.dim)

    def _near(self, vector: bytes, dim: int) -> Any:
        if len(vector) != 4 * dim:
            raise GalleryCorruptError(
                f"{self.location}: a vector of {len(vector)} bytes instead of {4 * dim}"
            )
        return self._half(np.frombuffer(vector, "<f4").astype(np.float16))


class PostgresStore(GalleryStore):
    """A gallery in a schema. Safe across threads, processes and machines, not across forks.

    Writers take turns: each transaction first locks the gallery's header row, which the audit
    chain needs anyway. Readers never wait.
    """

    _database: PostgresDatabase

    def __init__(self, address: Address, pool: Any) -> None:
        super().__init__(PostgresDatabase(pool.connection, address.shown))
        self._address, self._pool = address, pool
        self._counted: tuple[tuple[int, int], int] | None = None

    @classmethod
    def open(cls, location: str, header: Header | None) -> PostgresStore:
        """Open the gallery, or make it with `header` when there is none (`open_store`)."""
        address = parse_address(location)
        connection = connect(address)
        try:
            with postgres_errors(address.shown):
                postgres_schema.ensure(connection, address.schema, header, address.shown)
        finally:
            connection.close()
        return cls(address, make_pool(address))

    @contextlib.contextmanager
    def write(self) -> Iterator[SqlWriter]:
        with (
            postgres_errors(self.location),
            self._pool.connection() as connection,
            connection.transaction(),
        ):
            connection.execute("SELECT id FROM gallery WHERE id = 1 FOR UPDATE")
            database = PostgresDatabase(lambda: contextlib.nullcontext(connection), self.location)
            writer = _PostgresWriter(database)
            yield writer
            writer.finish()

    def backup(self, path: Path) -> None:
        raise GalleryError(
            f"{self.location} is a schema on a server: copy it with pg_dump --schema="
            f"{self._address.schema}"
        )

    def scrub(self, *, thorough: bool = False) -> bool:
        # VACUUM leaves the bytes of deleted rows in the pages until they are used again. VACUUM
        # FULL does not, but nobody can search while it rewrites the tables and the graph. The
        # server's write-ahead log, replicas and backups are its own: docs/scaling.md.
        errors = require("psycopg.errors", extra="postgres")
        with postgres_errors(self.location), self._pool.connection() as connection:
            try:
                full = "(FULL, ANALYZE)" if thorough else "(ANALYZE)"
                connection.execute(f"VACUUM {full} templates, crops, subjects")
            except errors.LockNotAvailable:
                return False
        return True

    def check(self) -> list[str]:
        header = self.header()
        problems = []
        if not header.key_id:
            missing = self._count("near IS NULL")
            if missing:
                problems.append(
                    f"the server's index lacks {counted(missing, 'template', 'templates')}"
                )
        else:
            clear = self._count("near IS NOT NULL")
            if clear:
                templates = counted(clear, "template is", "templates are")
                problems.append(f"{templates} in the clear, though the gallery is encrypted")
        valid = self._database.fetch(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('templates_near')"
        )
        indexed = not header.key_id and header.model.dim <= postgres_schema.MAX_INDEXED_DIM
        if indexed and not valid:
            problems.append("the server's index is missing; docs/scaling.md says how to create it")
        if valid and not valid[0][0]:
            problems.append("the server's index is not valid; REINDEX INDEX templates_near")
        if not header.key_id:
            problems += self._misplaced()
        return problems

    def _count(self, condition: str) -> int:
        ((count,),) = self._database.fetch(f"SELECT count(*) FROM templates WHERE {condition}")
        return int(count)

    def _misplaced(self) -> list[str]:
        """Up to 50 templates whose entry in the server's graph is not their vector."""
        problems: list[str] = []
        sql = (
            "SELECT key, vector, near::text FROM templates WHERE near IS NOT NULL AND key > ? "
            "ORDER BY key LIMIT 4096"
        )
        after = MIN_KEY
        while page := self._database.fetch(sql, (after,)):
            for key, vector, near in page:
                expected = np.frombuffer(vector, "<f4").astype(np.float16)
                if not np.array_equal(np.asarray(json.loads(near), np.float16), expected):
                    problems.append(f"template {key}: the server's index contains another vector")
                after = key
        return problems[:50]

    def native_search(
        self, header: Header, authenticate: Authenticate
    ) -> tuple[VectorIndex, Owners] | None:
        # Sealed vectors are searched in memory.
        if header.key_id:
            return None
        state = (header.epoch, header.generation)
        if self._counted is None or self._counted[0] != state:
            self._counted = (state, self._count("true"))
        borrow, count = self._database.borrow, self._counted[1]
        index = PgvectorIndex(borrow, self.location, header.model.dim, count, authenticate)
        return index, PostgresOwners(borrow, self.location)

    def close(self) -> None:
        self._pool.close()
