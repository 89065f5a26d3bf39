"""The shared store: a schema of a PostgreSQL database with pgvector, for many machines at once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._optional import require
from faceprint.errors import GalleryError
from faceprint.recognition.gallery import schema_postgres
from faceprint.recognition.gallery.postgres_access import PostgresReader, PostgresWriter
from faceprint.recognition.gallery.postgres_connect import (
    Address,
    connect,
    make_pool,
    parse_address,
    plain_errors,
)
from faceprint.recognition.gallery.postgres_search import PgvectorIndex, PostgresOwners
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.store import LEAST_KEY, Check
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import VectorIndex

__all__ = ["PostgresStore"]


class PostgresStore(PostgresReader):
    """A gallery in a schema. Safe across threads, processes and machines, not across forks.

    Writers take turns: each transaction begins by locking the gallery's own row, which the audit
    chain needs anyway. Readers wait for nobody.
    """

    def __init__(self, address: Address, pool: Any) -> None:
        super().__init__(pool.connection, address.shown)
        self._address, self._pool = address, pool
        self._counted: tuple[tuple[int, int], int] | None = None

    @classmethod
    def open(cls, location: str, header: Header | None) -> PostgresStore:
        """Open the gallery, or make it with `header` when there is none (`open_store`)."""
        address = parse_address(location)
        connection = connect(address)
        try:
            with plain_errors(address.shown):
                schema_postgres.ensure(connection, address.schema, header, address.shown)
        finally:
            connection.close()
        return cls(address, make_pool(address))

    @property
    def location(self) -> str:
        """The address, without a password."""
        return self._location

    @contextlib.contextmanager
    def write(self) -> Iterator[PostgresWriter]:
        """A write transaction (`GalleryStore.write`)."""
        with (
            plain_errors(self._location),
            self._pool.connection() as connection,
            connection.transaction(),
        ):
            connection.execute("SELECT id FROM gallery WHERE id = 1 FOR UPDATE")
            writer = PostgresWriter(lambda: contextlib.nullcontext(connection), self._location)
            yield writer
            writer.settle()

    @property
    def read_only(self) -> bool:
        """False: the server says what may be written."""
        return False

    @property
    def files(self) -> list[Path]:
        """None: the server's files are its own."""
        return []

    def backup(self, path: Path) -> None:
        """Refused: the server has its own way."""
        raise GalleryError(
            f"{self._location} is a schema on a server: copy it with pg_dump --schema="
            f"{self._address.schema}"
        )

    def scrub(self, *, thorough: bool = False) -> bool:
        """VACUUM, which frees deleted rows; with `thorough`, write the tables anew (VACUUM FULL).

        VACUUM leaves the bytes of freed rows in the heap's pages until these are used again. VACUUM
        FULL does not, but nobody can search while it writes the tables and builds the graph. The
        server's write-ahead log, replicas and backups are its own: docs/scaling.md.
        """
        errors = require("psycopg.errors", extra="postgres")
        with plain_errors(self._location), self._pool.connection() as connection:
            try:
                full = "(FULL, ANALYZE)" if thorough else "(ANALYZE)"
                connection.execute(f"VACUUM {full} templates, crops, subjects")
            except errors.LockNotAvailable:
                return False
        return True

    def check(self) -> list[str]:
        """Templates that the server's graph does not know, and a graph that is not valid."""
        header = self.header()
        problems = []
        if not header.key_id:
            (missing,) = self._rows("SELECT count(*) FROM templates WHERE near IS NULL")[0]
            if missing:
                problems.append(f"{missing} templates are missing from the server's index")
        else:
            (clear,) = self._rows("SELECT count(*) FROM templates WHERE near IS NOT NULL")[0]
            if clear:
                problems.append(f"{clear} templates of an encrypted gallery lie in clear")
        valid = self._rows(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('templates_near')"
        )
        if not header.key_id and header.model.dim <= schema_postgres.MOST_INDEXED and not valid:
            problems.append("the server's index is missing; docs/scaling.md says how to make it")
        if valid and not valid[0][0]:
            problems.append("the server's index is not valid; REINDEX INDEX templates_near")
        return problems + self._strayed(header)

    def _strayed(self, header: Header) -> list[str]:
        """Templates that the server's graph looks for in another place than where they are."""
        if header.key_id:
            return []
        problems: list[str] = []
        sql = (
            "SELECT key, vector, near::text FROM templates WHERE near IS NOT NULL AND key > %s "
            "ORDER BY key LIMIT 4096"
        )
        after = LEAST_KEY
        while rows := self._rows(sql, (after,)):
            for key, vector, near in rows:
                held = np.asarray(json.loads(near), np.float16)
                wanted = np.frombuffer(vector, "<f4").astype(np.float16)
                if not np.array_equal(held, wanted):
                    problems.append(f"template {key}: its entry in the server's index is another's")
            after = rows[-1][0]
        return problems[:50]

    def native_search(self, header: Header, check: Check) -> tuple[VectorIndex, Owners] | None:
        """pgvector's graph; None where records are sealed, which are then searched in memory."""
        if header.key_id:
            return None
        state = (header.epoch, header.generation)
        if self._counted is None or self._counted[0] != state:
            self._counted = (state, int(self._rows("SELECT count(*) FROM templates")[0][0]))
        count = self._counted[1]
        index = PgvectorIndex(self._pool.connection, self._location, header.model.dim, count, check)
        return index, PostgresOwners(self._pool.connection, self._location)

    def cache_path(self) -> Path | None:
        """None: there is no place beside a server."""
        return None

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
