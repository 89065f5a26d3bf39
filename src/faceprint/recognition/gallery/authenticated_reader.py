"""Reads rows and authenticates them: a row or a set of rows that was changed is refused."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import replace

from faceprint._text import counted
from faceprint.errors import GalleryCorruptError, UnknownSubjectError
from faceprint.recognition.gallery.authentication import RowAuthenticator, check_key, identity
from faceprint.recognition.gallery.crypto import Key, Sealer
from faceprint.recognition.gallery.records import Header, Subject, TemplateRow
from faceprint.recognition.gallery.sql.reader import MIN_KEY, SqlReader
from faceprint.recognition.gallery.sql.rows import (
    SubjectRow,
    TemplateColumns,
    subject_from_row,
    template_columns,
)

__all__ = ["HINT", "AuthenticatedReader"]

HINT = "; faceprint gallery verify lists all problems"
_TRIES = 20


class AuthenticatedReader:
    """Reads rows and checks every tag; raises GalleryCorruptError where one is wrong.

    Attributes:
        raw: the rows as they are stored, unchecked.
        key: of an encrypted gallery.
    """

    def __init__(self, raw: SqlReader, key: Key | None = None) -> None:
        self.raw, self.key = raw, key
        self._cached: RowAuthenticator | None = None
        self._sound: tuple[RowAuthenticator, Header] | None = None

    @property
    def location(self) -> str:
        """Path or address, without a password."""
        return self.raw.location

    def authenticator(self) -> RowAuthenticator:
        """What checks the rows of the gallery as it is now.

        Raises:
            GalleryLockedError: the key is missing or wrong.
        """
        return self._authenticator_of(self.raw.header())

    def _authenticator_of(self, header: Header) -> RowAuthenticator:
        check_key(self.location, header, self.key)
        cached = self._cached
        if cached is None or cached.identity != identity(header):
            cached = self._cached = RowAuthenticator(self.key, header)
        return cached

    def sealer(self, header: Header) -> Sealer:
        """Opens and seals the records under this header.

        Raises:
            GalleryLockedError: the key is missing or wrong.
        """
        return self._authenticator_of(header).sealer

    def header(self) -> Header:
        """The gallery's header; checked if its key is known."""
        header = self.raw.header()
        if header.key_id and self.key is not None and self.key.id == header.key_id:
            self.check_header(header)
        return header

    def check_header(self, header: Header) -> None:
        """Raise GalleryCorruptError for a header that was changed."""
        rows = self._authenticator_of(header)
        if self._sound == (rows, header):  # the same values, tag included, as at the last check
            return
        if not rows.legacy and not hmac.compare_digest(rows.header_tag(header), header.tag):
            raise GalleryCorruptError(
                f"{self.location}: the gallery's header (model, policy, state) {rows.why}"
            )
        self._sound = rows, header

    # Subjects

    def find(self, name: str) -> SubjectRow:
        """The stored row of the subject with that name, unchecked.

        Raises:
            UnknownSubjectError: there is none.
        """
        row = self.raw.subject(self.authenticator().stored_name(name))
        if row is None:
            raise UnknownSubjectError(f"{self.location}: no subject named {name!r}")
        return row

    def subject(self, name: str) -> Subject | None:
        """The subject with that name, with the number of templates."""
        rows = self.authenticator()
        row = self.raw.subject(rows.stored_name(name))
        return None if row is None else self._subject(rows, row)

    def require_subject(self, name: str) -> Subject:
        """The same; raises UnknownSubjectError if there is none."""
        return self._subject(self.authenticator(), self.find(name))

    def subject_by_uid(self, uid: str) -> Subject | None:
        """The subject with that id, with the number of templates."""
        row = self.raw.subject_by_uid(uid)
        return None if row is None else self._subject(self.authenticator(), row)

    def subjects(self) -> Iterator[Subject]:
        """All subjects, by name."""
        rows = self.authenticator()
        subjects = (self._subject(rows, row) for row in self.raw.subjects())
        if not rows.keyed or rows.legacy:
            yield from subjects
        else:
            # The store sorts by the HMAC of the name.
            yield from sorted(subjects, key=lambda subject: subject.name.encode())

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, Subject]:
        """Those of these subjects that exist."""
        rows = self.authenticator()
        found = self.raw.subjects_by_key(keys)
        return {key: self._subject(rows, row) for key, row in found.items()}

    def _subject(self, rows: RowAuthenticator, row: SubjectRow) -> Subject:
        return subject_from_row(rows.open_subject(row, self.location), self.location)

    # Templates

    def templates(
        self, *, subject_key: int | None = None, after: int = MIN_KEY, crops: bool = False
    ) -> Iterator[TemplateRow]:
        """Templates with keys beyond `after`, in the order of their keys."""
        rows = self.authenticator()
        for row in self.raw.templates(subject_key=subject_key, after=after, crops=crops):
            yield self._template(rows, row, crops)

    def templates_by_key(self, keys: Sequence[int], *, crops: bool = False) -> list[TemplateRow]:
        """Those of these templates that exist."""
        rows = self.authenticator()
        found = self.raw.templates_by_key(keys, crops=crops)
        return [self._template(rows, row, crops) for row in found]

    def _template(self, rows: RowAuthenticator, row: TemplateRow, crops: bool) -> TemplateRow:
        if rows.legacy:
            return row
        self._check_template(rows, template_columns(row))
        wrong = row.has_crop != bool(row.crop_tag)
        if crops and not wrong:
            wrong = rows.crop_tag(row.crop) != row.crop_tag
        if wrong:
            raise GalleryCorruptError(f"{self.location}: the crop of template {row.id} {rows.why}")
        return replace(row, source=rows.open_source(row))

    def _check_template(self, rows: RowAuthenticator, row: TemplateColumns) -> None:
        if not hmac.compare_digest(rows.template_tag(row), row.tag):
            raise GalleryCorruptError(f"{self.location}: template {row.key} {rows.why}{HINT}")

    def vectors(self, after: int = MIN_KEY) -> Iterator[Sequence[TemplateColumns]]:
        """Pages of templates with keys beyond `after`, in the order of their keys."""
        return map(self.check_templates, self.raw.vectors(after))

    def vectors_by_key(self, keys: Sequence[int]) -> Sequence[TemplateColumns]:
        """Those of these templates that exist, in any order; what a search reads."""
        return self.check_templates(self.raw.vectors_by_key(keys))

    def check_templates(self, page: Sequence[TemplateColumns]) -> Sequence[TemplateColumns]:
        """The same rows; raises GalleryCorruptError if a tag is wrong."""
        rows = self.authenticator()
        if not rows.legacy:
            for row in page:
                self._check_template(rows, row)
        return page

    # The set of rows

    def is_complete(self, header: Header) -> bool:
        """Whether the rows are those that the header's digest was computed over."""
        rows = self._authenticator_of(header)
        return rows.legacy or rows.total(header.digest) == self._total(rows)

    def check_set(self) -> None:
        """Raise GalleryCorruptError when rows are missing, were added or were put back."""
        for _ in range(_TRIES):
            header = self.header()
            if self.is_complete(header):
                return
            # Rows may have been written while the tags were read.
            if self.header().digest == header.digest:
                break
        raise GalleryCorruptError(
            f"{self.location}: rows are missing, were added or were put back{HINT}"
        )

    def _total(self, rows: RowAuthenticator) -> int:
        return sum(rows.elements(page) for page in self.raw.tags()) % (1 << 256)

    def check_orphans(self) -> None:
        """Raise GalleryCorruptError when templates belong to no subject."""
        orphans = self.raw.orphans()
        if orphans:
            raise GalleryCorruptError(
                f"{self.location}: {counted(len(orphans), 'template belongs', 'templates belong')} "
                f"to no subject, such as {orphans[0]}; faceprint gallery remove {self.location} "
                f"--template={orphans[0]} removes it"
            )
