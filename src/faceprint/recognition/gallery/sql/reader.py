"""Read a gallery's rows; the queries are the same for both databases."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.gallery.records import AuditEntry, Header, TemplateRow
from faceprint.recognition.gallery.sql.rows import (
    AUDIT,
    HEADER,
    SUBJECT,
    TEMPLATE,
    CropColumns,
    HeaderColumns,
    SubjectRow,
    Table,
    TagRow,
    TemplateColumns,
    TemplateRef,
    header_from_columns,
    parse_row,
    template_from_columns,
)
from faceprint.recognition.index.base import Keys

__all__ = ["MIN_KEY", "Database", "SqlReader"]

MIN_KEY = -(1 << 63)
"""Galleries number rows from 1. Reading starts here, to see the rows of other writers too."""
_PAGE = 4096
Row = TypeVar("Row")
_key_of, _name_of = operator.attrgetter("key"), operator.attrgetter("name")


class Database(Protocol):
    """A connection, and the few things in which the two databases differ.

    Queries have `?` for every value.

    Attributes:
        location: path or address, for messages; without a password.
        overriding: what an INSERT needs to set a key itself.
        crops_per_page: rows to read at once together with their crops.
    """

    location: str
    overriding: str
    crops_per_page: int

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement that writes; give the number of rows it changed."""

    def select(self, columns: tuple[str, ...]) -> str:
        """The text of a SELECT for these columns."""

    def any_of(self, column: str, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Conditions, with their values, that together match rows with one of `values`."""

    def next_key(self, table: Table) -> int:
        """A key greater than any before."""


class SqlReader:
    """Reads rows as they are stored, inside or outside of a transaction.

    Long results come in pages, each a query of its own: no scan holds a transaction open that a
    writer or a rewrite of the file would have to wait for.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def location(self) -> str:
        """Path or address, without a password."""
        return self._database.location

    def _read(
        self, kind: Callable[..., Row], columns: tuple[str, ...], rest: str, values: Sequence[Any]
    ) -> list[Row]:
        rows = self._database.fetch(f"SELECT {self._database.select(columns)} FROM {rest}", values)
        return [parse_row(kind, row, self.location) for row in rows]

    def _read_keys(self, rest: str, values: Sequence[Any] = ()) -> list[int]:
        return [int(key) for (key,) in self._database.fetch(f"SELECT key FROM {rest}", values)]

    def _pages(
        self, read: Callable[[Any], list[Row]], place: Callable[[Row], Any], last: Any
    ) -> Iterator[list[Row]]:
        """Pages of rows, each read beyond the `place` of the last row of the page before.

        Raises:
            GalleryCorruptError: rows out of order, of which pages would never end.
        """
        while page := read(last):
            if place(page[-1]) <= last:
                raise GalleryCorruptError(
                    f"{self.location}: rows are out of order in the file; it is damaged"
                )
            yield page
            last = place(page[-1])

    def header(self) -> Header:
        """The gallery's header."""
        rows = self._read(HeaderColumns, HEADER, "gallery", ())
        if len(rows) != 1:
            raise GalleryCorruptError(f"{self.location}: the gallery's header is missing")
        return header_from_columns(rows[0], self.location)

    def _subjects(self, condition: str, values: Sequence[Any]) -> list[SubjectRow]:
        return self._read(SubjectRow, SUBJECT, f"subjects WHERE {condition}", values)

    def subject(self, name: str) -> SubjectRow | None:
        """The subject with that stored name, with the number of templates."""
        return next(iter(self._subjects("name = ?", (name,))), None)

    def subject_by_uid(self, uid: str) -> SubjectRow | None:
        """The subject with that id, with the number of templates."""
        return next(iter(self._subjects("uid = ?", (uid,))), None)

    def subjects(self) -> Iterator[SubjectRow]:
        """All subjects, in the order of their stored names."""
        rest = "name > ? ORDER BY name LIMIT 1000"
        for page in self._pages(lambda last: self._subjects(rest, (last,)), _name_of, ""):
            yield from page

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, SubjectRow]:
        """Those of these subjects that exist."""
        found: dict[int, SubjectRow] = {}
        for condition, values in self._database.any_of("key", keys):
            found |= {subject.key: subject for subject in self._subjects(condition, values)}
        return found

    def subject_keys(self) -> list[int]:
        """The keys of all subjects, ascending."""
        return self._read_keys("subjects ORDER BY key")

    def find_images(self, digests: Sequence[bytes]) -> list[TemplateRef]:
        """The templates made from images with these SHA-256 digests."""
        columns = ("content", "subject_key", "key")
        found: list[TemplateRef] = []
        for condition, values in self._database.any_of("content", digests):
            found += self._read(TemplateRef, columns, f"templates WHERE {condition}", values)
        return found

    def _templates(self, condition: str, values: Sequence[Any], crops: bool) -> list[TemplateRow]:
        columns = (*TEMPLATE, "crops.template_key IS NOT NULL", "crops.data" if crops else "NULL")
        rows = self._database.fetch(
            f"SELECT {self._database.select(columns)} FROM templates "
            f"LEFT JOIN crops ON template_key = key WHERE {condition}",
            values,
        )
        where = self.location
        return [
            template_from_columns(
                parse_row(TemplateColumns, columns, where),
                parse_row(CropColumns, (has_crop, crop), where),
                where,
            )
            for *columns, has_crop, crop in rows
        ]

    def templates(
        self, *, subject_key: int | None = None, after: int = MIN_KEY, crops: bool = False
    ) -> Iterator[TemplateRow]:
        """Templates with keys beyond `after`, in the order of their keys."""
        only = "" if subject_key is None else "subject_key = ? AND "
        values = () if subject_key is None else (subject_key,)
        size = self._database.crops_per_page if crops else _PAGE
        condition = f"{only}key > ? ORDER BY key LIMIT {size:d}"

        def read(last: int) -> list[TemplateRow]:
            return self._templates(condition, (*values, last), crops)

        for page in self._pages(read, _key_of, after):
            yield from page

    def templates_by_key(self, keys: Sequence[int], *, crops: bool = False) -> list[TemplateRow]:
        """Those of these templates that exist."""
        found: list[TemplateRow] = []
        for condition, values in self._database.any_of("key", keys):
            found += self._templates(condition, values, crops)
        return found

    def keys(self, before: str | None = None) -> tuple[Keys, Keys]:
        """(n,) template keys, ascending, and (n,) subject keys; of those made before a moment."""
        condition, values = ("", ()) if before is None else ("WHERE created < ?", (before,))
        rows = self._database.fetch(
            f"SELECT key, subject_key FROM templates {condition} ORDER BY key", values
        )
        try:
            table = np.asarray(rows, np.int64).reshape(-1, 2)
        except (ValueError, TypeError, OverflowError) as error:
            raise GalleryCorruptError(f"{self.location}: keys that are not numbers") from error
        return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])

    def vectors(self, after: int = MIN_KEY) -> Iterator[list[TemplateColumns]]:
        """Pages of templates with keys beyond `after`, in the order of their keys."""
        rest = f"templates WHERE key > ? ORDER BY key LIMIT {_PAGE:d}"

        def read(last: int) -> list[TemplateColumns]:
            return self._read(TemplateColumns, TEMPLATE, rest, (last,))

        yield from self._pages(read, _key_of, after)

    def vectors_by_key(self, keys: Sequence[int]) -> list[TemplateColumns]:
        """Those of these templates that exist, in any order; what a search reads."""
        found: list[TemplateColumns] = []
        for condition, values in self._database.any_of("key", keys):
            found += self._read(TemplateColumns, TEMPLATE, f"templates WHERE {condition}", values)
        return found

    def template_keys(self, subject_key: int) -> list[int]:
        """The keys of a subject's templates, ascending."""
        return self._read_keys("templates WHERE subject_key = ? ORDER BY key", (subject_key,))

    def tags(self) -> Iterator[list[bytes]]:
        """The tags of all subjects and templates, in pages, in any order."""
        subjects = "subjects WHERE key > ? ORDER BY key LIMIT 10000"
        for page in self._pages(lambda key: self._tags(subjects, (key,)), _key_of, MIN_KEY):
            yield [row.tag for row in page]
        # In the order of an index that holds nothing but tags and keys.
        templates = "templates WHERE (tag, key) > (?, ?) ORDER BY tag, key LIMIT 10000"
        first = TagRow(b"", MIN_KEY)
        for page in self._pages(lambda last: self._tags(templates, last), tuple, first):
            yield [row.tag for row in page]

    def _tags(self, rest: str, values: Sequence[Any]) -> list[TagRow]:
        return self._read(TagRow, ("tag", "key"), rest, values)

    def tags_of(self, *, templates: Sequence[int] = (), subject: int | None = None) -> list[bytes]:
        """The tags of these templates; of a subject and all its templates."""
        rows: list[TagRow] = []
        for condition, values in self._database.any_of("key", templates):
            rows += self._tags(f"templates WHERE {condition}", values)
        if subject is not None:
            rows += self._tags("subjects WHERE key = ?", (subject,))
            rows += self._tags("templates WHERE subject_key = ?", (subject,))
        return [row.tag for row in rows]

    def orphans(self) -> list[int]:
        """Up to 20 templates whose subject does not exist."""
        # Answered from the index of the unique pair alone.
        return self._read_keys(
            "templates WHERE NOT EXISTS "
            "(SELECT 1 FROM subjects WHERE subjects.key = subject_key) LIMIT 20"
        )

    def audit(self) -> Iterator[AuditEntry]:
        """The whole audit log, in order."""
        rest = "audit WHERE seq > ? ORDER BY seq LIMIT 5000"

        def read(last: int) -> list[AuditEntry]:
            return self._read(AuditEntry, AUDIT, rest, (last,))

        for page in self._pages(read, operator.attrgetter("seq"), MIN_KEY):
            yield from page
