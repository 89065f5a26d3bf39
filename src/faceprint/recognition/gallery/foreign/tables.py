"""Tables that another program keeps its faces in: of a PostgreSQL server, or in a dump of one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from faceprint._optional import require
from faceprint.errors import DatasetError
from faceprint.recognition.gallery.sql.postgres_connection import (
    Address,
    connect,
    parse_address,
    postgres_errors,
)

__all__ = ["Row", "Tables", "ask", "numbers_in", "server_label", "server_tables"]

Row = tuple[str | None, ...]
"""Values as PostgreSQL writes them; None for NULL."""

_PAGE = 500


class Tables(Protocol):
    """Tables by name, with `schema.` in front where that is needed; columns by name."""

    @property
    def label(self) -> str:
        """Of the server or the dump, for messages; without a password."""

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a table; none if there is no such table."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """The values of these columns, row by row, in no order."""


def ask(tables: Tables, table: str, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a table, once it is known to have these columns.

    Raises:
        DatasetError: there is no such table or column.
    """
    there = tables.columns(table)
    if not there:
        raise DatasetError(f"{tables.label} has no table {table}")
    missing = [name for name in columns if name not in there]
    if missing:
        raise DatasetError(
            f"{tables.label}: the table {table} has no column {missing[0]}; it has "
            f"{', '.join(there)}"
        )
    return tables.rows(table, columns)


def numbers_in(text: str | None) -> Any:
    """The numbers of a `vector`, `halfvec`, array or JSON array in PostgreSQL's words; float32.

    Raises:
        ValueError: something else.
    """
    if text is None:
        return None
    if text[:1] + text[-1:] not in ("[]", "{}"):
        raise ValueError(f"{text[:40]!r} is not a list of numbers")
    return np.fromiter(map(float, text[1:-1].split(",")), np.float32)


class _ServerTables:
    def __init__(self, connection: Any, label: str) -> None:
        self._connection = connection
        self.label = label
        self._sql = require("psycopg.sql", extra="postgres")
        self._numbers = itertools.count()

    def columns(self, table: str) -> tuple[str, ...]:
        name = self._sql.Identifier(*table.split(".", 1)).as_string(self._connection)
        found = self._connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum",
            (name,),
        )
        return tuple(row[0] for row in found.fetchall())

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        sql = self._sql
        query = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(
                sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns
            ),
            sql.Identifier(*table.split(".", 1)),
        )
        # A named cursor stays on the server: no more than a page is in memory.
        name = f"faceprint_{next(self._numbers)}"
        with self._connection.cursor(name=name) as cursor:
            cursor.itersize = _PAGE
            cursor.execute(query)
            yield from cursor


def _parsed(address: str) -> Address:
    parsed = parse_address(address)
    schema = parsed.schema if "schema=" in address else "public"
    return replace(parsed, schema=schema, shown=parsed.shown.partition("?schema=")[0])


def server_label(address: str) -> str:
    """Host and database of an address, without user and password."""
    return _parsed(address).shown


@contextlib.contextmanager
def server_tables(address: str) -> Iterator[Tables]:
    """The tables of a server, as they are at one moment; nothing is written.

    Args:
        address: `postgresql://...`; `?schema=NAME` for tables of another schema than `public`.

    Raises:
        GalleryError: the server can't be reached, or refuses.
        UsageError: not an address; no message repeats a password.
    """
    parsed = _parsed(address)
    connection = connect(parsed)
    with connection, postgres_errors(parsed.shown, parsed.secrets), connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield _ServerTables(connection, parsed.shown)
