"""Change a gallery's rows, inside a write transaction; the same for both databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from faceprint.recognition.gallery.records import AuditEntry, Header, TemplateRow
from faceprint.recognition.gallery.sql.reader import SqlReader
from faceprint.recognition.gallery.sql.rows import (
    AUDIT,
    HEADER,
    SUBJECT,
    TEMPLATE,
    TEMPLATE_COUNT,
    SubjectRow,
    Table,
    header_columns,
    template_columns,
)

__all__ = ["SqlWriter", "placeholders"]


def placeholders(values: Iterable[object]) -> str:
    """A question mark for each value."""
    return ", ".join("?" for _ in values)


class SqlWriter(SqlReader):
    """Reads and changes rows while nobody else writes; all of it becomes durable, or nothing."""

    def next_key(self, table: Table) -> int:
        """A key greater than any before."""
        return self._database.next_key(table)

    def _insert(self, table: str, values: Mapping[str, Any]) -> None:
        self._database.change(
            f"INSERT INTO {table} ({', '.join(values)}) {self._database.overriding} "
            f"VALUES ({placeholders(values)})",
            tuple(values.values()),
        )

    def _update(self, table: str, values: Mapping[str, Any], where: str, key: int) -> None:
        self._database.change(
            f"UPDATE {table} SET ({', '.join(values)}) = ({placeholders(values)}) WHERE {where}",
            (*values.values(), key),
        )

    def put_subject(self, row: SubjectRow, *, new: bool) -> None:
        """Insert a subject under its key, or replace the row with that key."""
        values = dict(zip(SUBJECT, row, strict=True))
        del values[TEMPLATE_COUNT]
        if new:
            self._insert("subjects", values)
        else:
            del values["key"]
            self._update("subjects", values, "key = ?", row.key)

    def put_template(self, row: TemplateRow) -> None:
        """Insert a template under its key."""
        self._insert("templates", self._template_values(row))
        self._insert_crop(row)

    def _template_values(self, row: TemplateRow) -> dict[str, Any]:
        return dict(zip(TEMPLATE, template_columns(row), strict=True))

    def _insert_crop(self, row: TemplateRow) -> None:
        if row.crop is not None:
            self._insert("crops", {"template_key": row.key, "data": row.crop})

    def replace_vector(self, row: TemplateRow) -> None:
        """`replace_template` for a vector that is another one."""
        self.replace_template(row)

    def replace_template(self, row: TemplateRow) -> None:
        """Replace owner, `source`, `vector`, `norm`, `crop` and the tags of a template."""
        changed = {
            "subject_key": row.subject_key,
            "source": row.source,
            "vector": row.vector,
            "norm": row.norm,
            "crop_tag": row.crop_tag,
            "tag": row.tag,
        }
        self._update("templates", changed, "key = ?", row.key)
        self._database.change("DELETE FROM crops WHERE template_key = ?", (row.key,))
        self._insert_crop(row)

    def delete_templates(self, keys: Sequence[int]) -> int:
        """Delete templates and their crops; give the number of templates."""
        return sum(
            self._database.change(f"DELETE FROM templates WHERE {condition}", values)
            for condition, values in self._database.any_of("key", keys)
        )

    def delete_subject(self, key: int) -> None:
        """Delete a subject with all its templates."""
        self._database.change("DELETE FROM subjects WHERE key = ?", (key,))

    def put_header(self, header: Header) -> None:
        """Replace the gallery's header."""
        self._update("gallery", dict(zip(HEADER, header_columns(header), strict=True)), "id = ?", 1)

    def put_audit(self, entry: AuditEntry) -> None:
        """Append a line to the audit log."""
        self._insert("audit", {name: getattr(entry, name) for name in AUDIT})
