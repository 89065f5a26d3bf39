"""Reading and changing rows of the embedded store."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.gallery.records import AuditEntry, Header, Subject, TemplateRow
from faceprint.recognition.gallery.sql_rows import (
    AUDIT,
    HEADER,
    SUBJECT,
    TEMPLATE,
    audit_from_row,
    header_from_row,
    header_to_row,
    subject_from_row,
    subject_to_row,
    template_from_row,
    template_to_row,
    typed,
)
from faceprint.recognition.gallery.sqlite_connect import plain_errors
from faceprint.recognition.gallery.vectors import MAX_DIM
from faceprint.recognition.index.base import Keys

__all__ = ["SqliteReader", "SqliteWriter", "marks"]

_CHUNK = 400
_LONGEST_VECTOR = 4 * MAX_DIM + 64
# Cut in SQL, so that no page of rows takes gigabytes, whatever a stranger stored; a vector that was
# cut has a wrong length, which is found when it is opened.
_VECTOR = (
    f"CASE WHEN length(vector) > {_LONGEST_VECTOR:d} THEN substr(vector, 1, {_LONGEST_VECTOR:d}) "
    "ELSE vector END"
)
_TEMPLATE = TEMPLATE.replace("vector", _VECTOR)


class SqliteReader:
    """Queries on a connection that is not shared while they run."""

    def __init__(self, connection: sqlite3.Connection, location: str, lock: threading.RLock):
        self._connection, self._location, self._lock = connection, location, lock

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, plain_errors(self._location):
            return self._connection.execute(sql, values).fetchall()

    def header(self) -> Header:
        rows = self._rows(f"SELECT {HEADER} FROM gallery")
        if len(rows) != 1:
            raise GalleryCorruptError(f"{self._location}: the gallery's own row is missing")
        return header_from_row(rows[0], self._location)

    def _subjects(self, where: str, values: Sequence[Any]) -> list[Subject]:
        count = "(SELECT count(*) FROM templates WHERE subject_key = subjects.key)"
        sql = f"SELECT key, {count}, {SUBJECT} FROM subjects WHERE {where} ORDER BY name"
        return [subject_from_row(row, self._location) for row in self._rows(sql, values)]

    def subject(self, name: str) -> Subject | None:
        return next(iter(self._subjects("name = ?", (name,))), None)

    def subjects(self) -> Iterator[Subject]:
        last = ""
        while batch := self._subjects_after(last):
            yield from batch
            last = batch[-1].name

    def _subjects_after(self, name: str) -> list[Subject]:
        count = "(SELECT count(*) FROM templates WHERE subject_key = subjects.key)"
        sql = (
            f"SELECT key, {count}, {SUBJECT} FROM subjects WHERE name > ? ORDER BY name LIMIT 1000"
        )
        return [subject_from_row(row, self._location) for row in self._rows(sql, (name,))]

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, Subject]:
        found: dict[int, Subject] = {}
        for chunk in chunks(keys):
            for subject in self._subjects(f"key IN ({marks(chunk)})", chunk):
                found[subject.key] = subject
        return found

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
            f"SELECT key, crops.template_key IS NOT NULL, {crop}, {_TEMPLATE} FROM templates "
            f"LEFT JOIN crops ON template_key = key WHERE {where}"
        )
        return [template_from_row(row, self._location) for row in self._rows(sql, values)]

    def templates(
        self, *, subject_key: int | None = None, after: int = 0, crops: bool = False
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

    def vectors(self, after: int = 0) -> Iterator[list[tuple[int, int, bytes, bytes]]]:
        sql = (
            f"SELECT key, subject_key, content, {_VECTOR} FROM templates WHERE key > ? "
            "ORDER BY key LIMIT 4096"
        )
        while rows := self._rows(sql, (after,)):
            for row in rows:
                typed(row, "iibb", self._location)
            yield rows
            after = rows[-1][0]

    def vectors_by_key(self, keys: Sequence[int]) -> list[tuple[int, int, bytes, bytes]]:
        found: list[tuple[int, int, bytes, bytes]] = []
        for chunk in chunks(keys):
            sql = f"SELECT key, subject_key, content, {_VECTOR} FROM templates"
            rows = self._rows(f"{sql} WHERE key IN ({marks(chunk)})", chunk)
            for row in rows:
                typed(row, "iibb", self._location)
            found += rows
        return found

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
        with plain_errors(self._location):
            return self._connection.execute(sql, values)

    def put_subject(self, subject: Subject) -> Subject:
        row = subject_to_row(subject)
        if subject.key:
            sql = f"UPDATE subjects SET ({SUBJECT}) = ({marks(row)}) WHERE key = ?"
            self._run(sql, (*row, subject.key))
        else:
            self._run(f"INSERT INTO subjects ({SUBJECT}) VALUES ({marks(row)})", row)
        stored = self.subject(subject.name)
        assert stored is not None
        return stored

    def put_template(self, row: TemplateRow) -> int:
        values = template_to_row(row)
        sql = f"INSERT INTO templates ({TEMPLATE}) VALUES ({marks(values)})"
        key = self._run(sql, values).lastrowid
        assert key is not None
        if row.crop is not None:
            self._run("INSERT INTO crops VALUES (?, ?)", (key, row.crop))
        return key

    def replace_vectors(self, rows: Iterable[TemplateRow]) -> None:
        for row in rows:
            values = (row.vector, row.norm, row.key)
            self._run("UPDATE templates SET vector = ?, norm = ? WHERE key = ?", values)
            self._run("DELETE FROM crops WHERE template_key = ?", (row.key,))
            if row.crop is not None:
                self._run("INSERT INTO crops VALUES (?, ?)", (row.key, row.crop))

    def delete_templates(self, keys: Sequence[int]) -> int:
        count = 0
        for chunk in chunks(keys):
            count += self._run(
                f"DELETE FROM templates WHERE key IN ({marks(chunk)})", chunk
            ).rowcount
        return count

    def delete_subject(self, key: int) -> None:
        self._run("DELETE FROM subjects WHERE key = ?", (key,))

    def put_header(self, header: Header) -> None:
        row = header_to_row(header)
        self._run(f"UPDATE gallery SET ({HEADER}) = ({marks(row)}) WHERE id = 1", row)

    def put_audit(self, entry: AuditEntry) -> None:
        values = tuple(getattr(entry, name) for name in AUDIT.split(", "))
        self._run(f"INSERT INTO audit ({AUDIT}) VALUES ({marks(values)})", values)


def marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    items = list(values)
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
