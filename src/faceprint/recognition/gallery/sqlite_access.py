"""Reading and changing rows of the embedded store."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Header,
    SubjectRow,
    TemplateRow,
    VectorRow,
)
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
    typed,
)
from faceprint.recognition.gallery.sqlite_columns import COUNT, chunks, columns, marks
from faceprint.recognition.gallery.sqlite_connect import plain_errors
from faceprint.recognition.gallery.store import LEAST_KEY, Table
from faceprint.recognition.index.base import Keys

__all__ = ["SqliteReader", "SqliteWriter"]


class SqliteReader:
    """Queries on a connection that is not shared while they run."""

    def __init__(
        self, connection: sqlite3.Connection, location: str, lock: threading.RLock, version: int
    ):
        self._connection, self._location, self._lock = connection, location, lock
        self._see(version)

    def _see(self, version: int) -> None:
        """Read a schema of that version."""
        self._version = version
        self._header, self._subject = columns(HEADER, version), columns(SUBJECT, version)
        self._template, self._vector = columns(TEMPLATE, version), columns(VECTOR, version)

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, plain_errors(self._location):
            return self._connection.execute(sql, values).fetchall()

    def header(self) -> Header:
        rows = self._rows(f"SELECT {self._header} FROM gallery")
        if len(rows) != 1:
            raise GalleryCorruptError(f"{self._location}: the gallery's own row is missing")
        return header_from_row(rows[0], self._location)

    def _subjects(self, rest: str, values: Sequence[Any]) -> list[SubjectRow]:
        sql = f"SELECT key, {COUNT}, {self._subject} FROM subjects WHERE {rest}"
        return [subject_from_row(row, self._location) for row in self._rows(sql, values)]

    def subject(self, name: str) -> SubjectRow | None:
        return next(iter(self._subjects("name = ?", (name,))), None)

    def subjects(self) -> Iterator[SubjectRow]:
        last = ""
        while batch := self._subjects("name > ? ORDER BY name LIMIT 1000", (last,)):
            yield from batch
            last = batch[-1].name

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, SubjectRow]:
        found: dict[int, SubjectRow] = {}
        for chunk in chunks(keys):
            for subject in self._subjects(f"key IN ({marks(chunk)})", chunk):
                found[subject.key] = subject
        return found

    def subject_keys(self) -> list[int]:
        return [int(row[0]) for row in self._rows("SELECT key FROM subjects ORDER BY key")]

    def find_content(self, contents: Sequence[bytes]) -> list[tuple[bytes, int, int]]:
        found: list[tuple[bytes, int, int]] = []
        for chunk in chunks(contents):
            sql = (
                f"SELECT content, subject_key, key FROM templates WHERE content IN ({marks(chunk)})"
            )
            for row in self._rows(sql, chunk):
                content, subject, key = typed(row, "bii", self._location)
                found.append((bytes(content), subject, key))
        return found

    def _templates(self, where: str, values: Sequence[Any], crops: bool) -> list[TemplateRow]:
        crop = "crops.data" if crops else "NULL"
        sql = (
            f"SELECT key, crops.template_key IS NOT NULL, {crop}, {self._template} FROM templates "
            f"LEFT JOIN crops ON template_key = key WHERE {where}"
        )
        return [template_from_row(row, self._location) for row in self._rows(sql, values)]

    def templates(
        self, *, subject_key: int | None = None, after: int = LEAST_KEY, crops: bool = False
    ) -> Iterator[TemplateRow]:
        only = "" if subject_key is None else "subject_key = ? AND "
        given = () if subject_key is None else (subject_key,)
        size = 20 if crops else 4096
        # Pages of their own, so that a long scan holds no transaction that a scrub waits for.
        while True:
            where = f"{only}key > ? ORDER BY key LIMIT {size}"
            batch = self._templates(where, (*given, after), crops)
            yield from batch
            if len(batch) < size:
                return
            after = batch[-1].key

    def templates_by_key(self, keys: Sequence[int], *, crops: bool = False) -> list[TemplateRow]:
        rows: list[TemplateRow] = []
        for chunk in chunks(keys):
            rows += self._templates(f"key IN ({marks(chunk)})", chunk, crops)
        return rows

    def keys(self, before: str | None = None) -> tuple[Keys, Keys]:
        where, values = ("", ()) if before is None else ("WHERE created < ?", (before,))
        rows = self._rows(f"SELECT key, subject_key FROM templates {where} ORDER BY key", values)
        try:
            table = np.asarray(rows, np.int64).reshape(-1, 2)
        except (ValueError, TypeError, OverflowError) as error:
            raise GalleryCorruptError(f"{self._location}: keys that are not numbers") from error
        return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])

    def vectors(self, after: int = LEAST_KEY) -> Iterator[list[VectorRow]]:
        rest = "key > ? ORDER BY key LIMIT 4096"
        while rows := self._vectors(rest, (after,)):
            yield rows
            after = rows[-1][0]

    def vectors_by_key(self, keys: Sequence[int]) -> list[VectorRow]:
        found: list[VectorRow] = []
        for chunk in chunks(keys):
            found += self._vectors(f"key IN ({marks(chunk)})", chunk)
        return found

    def _vectors(self, rest: str, values: Sequence[Any]) -> list[VectorRow]:
        rows = self._rows(f"SELECT {self._vector} FROM templates WHERE {rest}", values)
        for row in rows:
            typed(row, "iibbsSFfsbb", self._location)
        return rows

    def template_keys(self, subject_key: int) -> list[int]:
        sql = "SELECT key FROM templates WHERE subject_key = ? ORDER BY key"
        return [int(row[0]) for row in self._rows(sql, (subject_key,))]

    def tags(self) -> Iterator[list[bytes]]:
        for table in ("subjects", "templates"):
            after = LEAST_KEY
            # By the index that holds nothing but tags and keys.
            order = "tag, key" if table == "templates" else "key"
            tag = b""
            while True:
                where = "(tag, key) > (?, ?)" if table == "templates" else "key > ?"
                values = (tag, after) if table == "templates" else (after,)
                sql = f"SELECT tag, key FROM {table} WHERE {where} ORDER BY {order} LIMIT 10000"
                rows = self._rows(sql, values)
                if not rows:
                    break
                for row in rows:
                    typed(row, "bi", self._location)
                yield [row[0] for row in rows]
                tag, after = rows[-1]

    def tags_of(self, *, templates: Sequence[int] = (), subject: int | None = None) -> list[bytes]:
        rows: list[Any] = []
        for chunk in chunks(templates):
            rows += self._rows(f"SELECT tag FROM templates WHERE key IN ({marks(chunk)})", chunk)
        if subject is not None:
            sql = "SELECT tag FROM subjects WHERE key = ?1 UNION ALL SELECT tag FROM templates "
            rows += self._rows(sql + "WHERE subject_key = ?1", (subject,))
        return [bytes(typed(row, "b", self._location)[0]) for row in rows]

    def orphans(self) -> list[int]:
        # The index of the unique pair holds all that is asked for.
        sql = (
            "SELECT key FROM templates WHERE NOT EXISTS "
            "(SELECT 1 FROM subjects WHERE subjects.key = subject_key) LIMIT 20"
        )
        return [int(row[0]) for row in self._rows(sql)]

    def audit(self) -> Iterator[AuditEntry]:
        last = -(1 << 62)
        while rows := self._rows(
            f"SELECT {AUDIT} FROM audit WHERE seq > ? ORDER BY seq LIMIT 5000", (last,)
        ):
            yield from map(audit_from_row, rows)
            last = rows[-1][0]


class SqliteWriter(SqliteReader):
    """The same inside a write transaction, plus changes."""

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        with plain_errors(self._location, "write"):
            return self._connection.execute(sql, values)

    def next_key(self, table: Table) -> int:
        sql = (
            f"SELECT max(key) FROM {table} UNION ALL SELECT seq FROM sqlite_sequence WHERE name = ?"
        )
        used = [row[0] for row in self._rows(sql, (table,)) if isinstance(row[0], int)]
        key = max([0, *used]) + 1
        if key >= 1 << 63:
            raise GalleryCorruptError(f"{self._location}: {table} has no numbers left")
        return key

    def put_subject(self, row: SubjectRow, *, new: bool) -> None:
        values = subject_to_row(row)
        if new:
            sql = f"INSERT INTO subjects (key, {SUBJECT}) VALUES (?, {marks(values)})"
            self._run(sql, (row.key, *values))
        else:
            sql = f"UPDATE subjects SET ({SUBJECT}) = ({marks(values)}) WHERE key = ?"
            self._run(sql, (*values, row.key))

    def put_template(self, row: TemplateRow) -> None:
        values = template_to_row(row)
        sql = f"INSERT INTO templates (key, {TEMPLATE}) VALUES (?, {marks(values)})"
        self._run(sql, (row.key, *values))
        if row.crop is not None:
            self._run("INSERT INTO crops VALUES (?, ?)", (row.key, row.crop))

    def replace_vectors(self, rows: Iterable[TemplateRow]) -> None:
        for row in rows:
            names = "source, vector, norm, crop_tag, tag"
            values = (row.source, row.vector, row.norm, row.crop_tag, row.tag)
            sql = f"UPDATE templates SET ({names}) = ({marks(values)}) WHERE key = ?"
            self._run(sql, (*values, row.key))
            self._run("DELETE FROM crops WHERE template_key = ?", (row.key,))
            if row.crop is not None:
                self._run("INSERT INTO crops VALUES (?, ?)", (row.key, row.crop))

    def delete_templates(self, keys: Sequence[int]) -> int:
        count = 0
        for chunk in chunks(keys):
            count += self._run(
                f"DELETE FROM templates WHERE key IN ({marks(chunk)})", chunk
            ).rowcount
        self._delete_stray_crops()
        return count

    def delete_subject(self, key: int) -> None:
        self._run("DELETE FROM subjects WHERE key = ?", (key,))
        self._delete_stray_crops()

    def _delete_stray_crops(self) -> None:
        # Of templates whose number a stranger or a flipped bit changed: no cascade finds them.
        keys = "(SELECT key FROM templates)"
        self._run(f"DELETE FROM crops WHERE template_key NOT IN {keys}")

    def put_header(self, header: Header) -> None:
        row = header_to_row(header)
        self._run(f"UPDATE gallery SET ({HEADER}) = ({marks(row)}) WHERE id = 1", row)

    def put_audit(self, entry: AuditEntry) -> None:
        values = tuple(getattr(entry, name) for name in AUDIT.split(", "))
        self._run(f"INSERT INTO audit ({AUDIT}) VALUES ({marks(values)})", values)
