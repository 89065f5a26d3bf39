"""Reading and changing rows of the PostgreSQL store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from faceprint._optional import require
from faceprint.errors import GalleryCorruptError
from faceprint.recognition.gallery.postgres_connect import plain_errors
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Header,
    SubjectRow,
    TemplateRow,
    VectorRow,
)
from faceprint.recognition.gallery.schema_postgres import index_vectors, unindex_vectors
from faceprint.recognition.gallery.sql_rows import (
    AUDIT,
    HEADER,
    SUBJECT,
    TEMPLATE,
    VECTOR,
    audit_from_row,
    header_from_row,
    header_to_row,
    subject_from_row,
    subject_to_row,
    template_from_row,
    template_to_row,
)
from faceprint.recognition.gallery.store import LEAST_KEY, Table
from faceprint.recognition.index.base import Keys

__all__ = ["Borrow", "PostgresReader", "PostgresWriter"]

Borrow = Callable[[], AbstractContextManager[Any]]
"""A connection for as long as a query takes."""

_COUNT = "(SELECT count(*) FROM templates WHERE subject_key = subjects.key)"


class PostgresReader:
    """Queries, each on a connection that is borrowed while it runs."""

    def __init__(self, borrow: Borrow, location: str) -> None:
        self._borrow, self._location = borrow, location

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with plain_errors(self._location), self._borrow() as connection:
            rows: list[Any] = connection.execute(sql, values).fetchall()
            return rows

    def header(self) -> Header:
        rows = self._rows(f"SELECT {HEADER} FROM gallery WHERE id = 1")
        if len(rows) != 1:
            raise GalleryCorruptError(f"{self._location}: the gallery's own row is missing")
        return header_from_row(rows[0], self._location)

    def _subjects(self, rest: str, values: Sequence[Any]) -> list[SubjectRow]:
        sql = f"SELECT key, {_COUNT}, {SUBJECT} FROM subjects WHERE {rest}"
        return [subject_from_row(row, self._location) for row in self._rows(sql, values)]

    def subject(self, name: str) -> SubjectRow | None:
        return next(iter(self._subjects("name = %s", (name,))), None)

    def subjects(self) -> Iterator[SubjectRow]:
        last = ""
        while batch := self._subjects("name > %s ORDER BY name LIMIT 1000", (last,)):
            yield from batch
            last = batch[-1].name

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, SubjectRow]:
        wanted = [int(key) for key in keys]
        return {subject.key: subject for subject in self._subjects("key = ANY(%s)", (wanted,))}

    def subject_keys(self) -> list[int]:
        return [int(row[0]) for row in self._rows("SELECT key FROM subjects ORDER BY key")]

    def find_content(self, contents: Sequence[bytes]) -> list[tuple[bytes, int, int]]:
        sql = "SELECT content, subject_key, key FROM templates WHERE content = ANY(%s)"
        return [(bytes(c), s, k) for c, s, k in self._rows(sql, (list(contents),))]

    def _templates(self, rest: str, values: Sequence[Any], crops: bool) -> list[TemplateRow]:
        crop = "crops.data" if crops else "NULL::bytea"
        sql = (
            f"SELECT key, crops.template_key IS NOT NULL, {crop}, {TEMPLATE} FROM templates "
            f"LEFT JOIN crops ON template_key = key WHERE {rest}"
        )
        return [template_from_row(row, self._location) for row in self._rows(sql, values)]

    def templates(
        self, *, subject_key: int | None = None, after: int = LEAST_KEY, crops: bool = False
    ) -> Iterator[TemplateRow]:
        only = "" if subject_key is None else "subject_key = %s AND "
        given = () if subject_key is None else (subject_key,)
        size = 100 if crops else 5000
        while True:
            rest = f"{only}key > %s ORDER BY key LIMIT {size:d}"
            batch = self._templates(rest, (*given, after), crops)
            yield from batch
            if len(batch) < size:
                return
            after = batch[-1].key

    def templates_by_key(self, keys: Sequence[int], *, crops: bool = False) -> list[TemplateRow]:
        return self._templates("key = ANY(%s)", ([int(key) for key in keys],), crops)

    def keys(self, before: str | None = None) -> tuple[Keys, Keys]:
        where, values = ("", ()) if before is None else ("WHERE created < %s", (before,))
        rows = self._rows(f"SELECT key, subject_key FROM templates {where} ORDER BY key", values)
        table = np.asarray(rows, np.int64).reshape(-1, 2)
        return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])

    def vectors(self, after: int = LEAST_KEY) -> Iterator[list[VectorRow]]:
        sql = f"SELECT {VECTOR} FROM templates WHERE key > %s ORDER BY key LIMIT 4096"
        while rows := self._rows(sql, (after,)):
            yield rows
            after = rows[-1][0]

    def vectors_by_key(self, keys: Sequence[int]) -> list[VectorRow]:
        sql = f"SELECT {VECTOR} FROM templates WHERE key = ANY(%s)"
        return self._rows(sql, ([int(key) for key in keys],))

    def template_keys(self, subject_key: int) -> list[int]:
        sql = "SELECT key FROM templates WHERE subject_key = %s ORDER BY key"
        return [int(row[0]) for row in self._rows(sql, (subject_key,))]

    def tags(self) -> Iterator[list[bytes]]:
        for table in ("subjects", "templates"):
            tag, key = b"", LEAST_KEY
            sql = (
                f"SELECT tag, key FROM {table} WHERE (tag, key) > (%s, %s) ORDER BY tag, key "
                "LIMIT 10000"
            )
            while rows := self._rows(sql, (tag, key)):
                yield [bytes(row[0]) for row in rows]
                tag, key = rows[-1]

    def tags_of(self, *, templates: Sequence[int] = (), subject: int | None = None) -> list[bytes]:
        wanted = [int(key) for key in templates]
        rows = self._rows("SELECT tag FROM templates WHERE key = ANY(%s)", (wanted,))
        if subject is not None:
            sql = "SELECT tag FROM {} WHERE {} = %s"
            rows += self._rows(sql.format("subjects", "key"), (subject,))
            rows += self._rows(sql.format("templates", "subject_key"), (subject,))
        return [bytes(row[0]) for row in rows]

    def orphans(self) -> list[int]:
        sql = (
            "SELECT key FROM templates WHERE NOT EXISTS "
            "(SELECT 1 FROM subjects WHERE subjects.key = subject_key) LIMIT 20"
        )
        return [int(row[0]) for row in self._rows(sql)]

    def audit(self) -> Iterator[AuditEntry]:
        last = -(1 << 62)
        sql = f"SELECT {AUDIT} FROM audit WHERE seq > %s ORDER BY seq LIMIT 5000"
        while rows := self._rows(sql, (last,)):
            yield from map(audit_from_row, rows)
            last = rows[-1][0]


class PostgresWriter(PostgresReader):
    """The same inside a write transaction, plus changes.

    `vector` holds the record, sealed or in clear; `near` the same as halfvec for the server's
    graph, and nothing when records are sealed: a graph needs vectors in clear.
    """

    def __init__(self, borrow: Borrow, location: str) -> None:
        super().__init__(borrow, location)
        self._start = self.header()
        self._replaced = False
        self._half = require("pgvector", extra="postgres").HalfVector

    def _run(self, sql: str, values: Sequence[Any] = ()) -> Any:
        with plain_errors(self._location), self._borrow() as connection:
            return connection.execute(sql, values)

    def next_key(self, table: Table) -> int:
        sql = "SELECT nextval(pg_get_serial_sequence(%s, 'key'))"
        return int(self._run(sql, (table,)).fetchone()[0])

    def put_subject(self, row: SubjectRow, *, new: bool) -> None:
        values = (*subject_to_row(row), row.key)
        if new:
            sql = f"INSERT INTO subjects ({SUBJECT}, key) OVERRIDING SYSTEM VALUE VALUES "
            self._run(f"{sql} ({_marks(values)})", values)
        else:
            sql = f"UPDATE subjects SET ({SUBJECT}) = ({_marks(values[1:])}) WHERE key = %s"
            self._run(sql, values)

    def put_template(self, row: TemplateRow) -> None:
        near = None if self._start.key_id else self._near(row.vector, self._start.model.dim)
        values = (*template_to_row(row), near, row.key)
        sql = f"INSERT INTO templates ({TEMPLATE}, near, key) OVERRIDING SYSTEM VALUE VALUES "
        self._run(f"{sql} ({_marks(values)})", values)
        if row.crop is not None:
            self._run("INSERT INTO crops VALUES (%s, %s)", (row.key, row.crop))

    def replace_vectors(self, rows: Iterable[TemplateRow]) -> None:
        self._replaced = True
        for row in rows:
            names = "source, vector, norm, crop_tag, tag"
            values = (row.source, row.vector, row.norm, row.crop_tag, row.tag)
            sql = f"UPDATE templates SET ({names}) = ({_marks(values)}) WHERE key = %s"
            self._run(sql, (*values, row.key))
            self._run("DELETE FROM crops WHERE template_key = %s", (row.key,))
            if row.crop is not None:
                self._run("INSERT INTO crops VALUES (%s, %s)", (row.key, row.crop))

    def delete_templates(self, keys: Sequence[int]) -> int:
        wanted = [int(key) for key in keys]
        return int(self._run("DELETE FROM templates WHERE key = ANY(%s)", (wanted,)).rowcount)

    def delete_subject(self, key: int) -> None:
        self._run("DELETE FROM subjects WHERE key = %s", (key,))

    def put_header(self, header: Header) -> None:
        row = header_to_row(header)
        self._run(f"UPDATE gallery SET ({HEADER}) = ({_marks(row)}) WHERE id = 1", row)

    def put_audit(self, entry: AuditEntry) -> None:
        values = tuple(getattr(entry, name) for name in AUDIT.split(", "))
        self._run(f"INSERT INTO audit ({AUDIT}) VALUES ({_marks(values)})", values)

    def settle(self) -> None:
        """Make the server's graph anew if vectors were replaced; the last step before a commit."""
        header = self.header()
        if not self._replaced and (header.model.dim, header.key_id) == (
            self._start.model.dim,
            self._start.key_id,
        ):
            return
        with plain_errors(self._location), self._borrow() as connection:
            unindex_vectors(connection)
            if header.key_id:
                return
            for batch in self.vectors():
                near = [(self._near(row[3], header.model.dim), row[0]) for row in batch]
                connection.cursor().executemany(
                    "UPDATE templates SET near = %s WHERE key = %s", near
                )
            index_vectors(connection, header.model.dim)

    def _near(self, vector: bytes, dim: int) -> Any:
        if len(vector) != 4 * dim:
            raise GalleryCorruptError(
                f"{self._location}: a vector of {len(vector)} bytes where {4 * dim} belong"
            )
        return self._half(np.frombuffer(vector, "<f4").astype(np.float16))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))
