"""A store whose rows are authenticated when they are read, and tagged when they are written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from faceprint.recognition.gallery.authenticated_reader import AuthenticatedReader
from faceprint.recognition.gallery.authentication import RowAuthenticator
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.records import Header, Subject, TemplateRow
from faceprint.recognition.gallery.sql.rows import SubjectRow, subject_row
from faceprint.recognition.gallery.sql.store import GalleryStore
from faceprint.recognition.gallery.sql.writer import SqlWriter

__all__ = ["AuthenticatedStore", "AuthenticatedWriter"]


class AuthenticatedWriter(AuthenticatedReader):
    """Reads and changes rows inside a write transaction, and keeps the digest up to date."""

    raw: SqlWriter

    def __init__(self, raw: SqlWriter, key: Key | None) -> None:
        super().__init__(raw, key)
        self._start = self.header()
        self._old = self._new = self._authenticator_of(self._start)
        self._change = self._saved = 0
        self._recount = self._old.total(self._start.digest) is None

    def authenticator(self) -> RowAuthenticator:
        """What checks the rows that were there when the transaction began."""
        return self._old

    def rewrite_with(self, rows: RowAuthenticator) -> None:
        """Tag and seal with another authenticator from now on; every row will be rewritten."""
        self._new, self._recount = rows, True

    def put_subject(self, subject: Subject) -> Subject:
        """Insert a subject, or replace the name, metadata and consent of the one with its key."""
        new = not subject.key
        if new:
            subject = replace(subject, key=self.raw.next_key("subjects"))
        self.put_subject_row(subject_row(subject), new=new)
        return subject

    def put_subject_row(self, row: SubjectRow, *, new: bool = False) -> None:
        """The same for an opened row."""
        if not (new or self._recount):
            self._subtract([self.raw.subjects_by_key([row.key])[row.key].tag])
        row = self._new.seal_subject(row)
        self.raw.put_subject(row, new=new)
        self._add([row.tag])

    def put_template(self, row: TemplateRow) -> int:
        """Insert a template; give its new key, greater than any before."""
        row = self._new.seal_template(replace(row, key=self.raw.next_key("templates")))
        self.raw.put_template(row)
        self._add([row.tag])
        return row.key

    def replace_vector(self, row: TemplateRow) -> None:
        """Replace `vector`, `norm` and `crop` of an existing template; `source` is not sealed."""
        self._replace(row, self.raw.replace_vector)

    def move_template(self, row: TemplateRow) -> None:
        """Give an existing template to another subject, with what is sealed for that subject."""
        self._replace(row, self.raw.replace_template)

    def _replace(self, row: TemplateRow, write: Callable[[TemplateRow], None]) -> None:
        self._subtract(self.raw.tags_of(templates=[row.key]))
        sealed = self._new.seal_template(row)
        write(sealed)
        self._add([sealed.tag])

    def delete_templates(self, keys: Sequence[int]) -> int:
        """Delete templates; give their number."""
        self._subtract(self.raw.tags_of(templates=keys))
        return self.raw.delete_templates(keys)

    def delete_subject(self, key: int) -> None:
        """Delete a subject with all its templates."""
        self._subtract(self.raw.tags_of(subject=key))
        self.raw.delete_subject(key)

    def put_header(self, header: Header) -> None:
        """Replace the header, with the digest over the set of rows as it is now."""
        known = None if self._recount else self._old.total(self._start.digest)
        total = self._total(self._new) if known is None else (known + self._change) % (1 << 256)
        self.raw.put_header(self._new.sign(header, total))
        self._saved = self._change

    def finish(self) -> None:
        """Save the digest, unless `put_header` did; the last step before a commit."""
        if self._change != self._saved:
            self.put_header(self.raw.header())

    def _subtract(self, tags: list[bytes]) -> None:
        self._change -= 0 if self._recount else self._old.elements(tags)

    def _add(self, tags: list[bytes]) -> None:
        self._change += 0 if self._recount else self._new.elements(tags)


class AuthenticatedStore(AuthenticatedReader):
    """A gallery's store with authenticated rows."""

    raw: GalleryStore

    @contextlib.contextmanager
    def write(self) -> Iterator[AuthenticatedWriter]:
        """A write transaction (`GalleryStore.write`)."""
        with self.raw.write() as raw:
            writer = AuthenticatedWriter(raw, self.key)
            yield writer
            writer.finish()
