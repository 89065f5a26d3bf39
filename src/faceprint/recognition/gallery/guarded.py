"""Reading a gallery with every tag checked."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import replace

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.guard import Guard, check_key, identity, vector_row
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Header,
    Subject,
    SubjectRow,
    TemplateRow,
    VectorRow,
)
from faceprint.recognition.gallery.sql_rows import subject_of_texts
from faceprint.recognition.gallery.store import LEAST_KEY, StoreReader
from faceprint.recognition.index.base import Keys

__all__ = ["HINT", "GuardedReader"]

HINT = "; faceprint gallery verify names all that is wrong"

Vector = tuple[int, int, bytes, bytes]
"""key, subject_key, content, vector."""


class GuardedReader:
    """Reading, with every tag checked. Raises GalleryCorruptError where one is wrong."""

    def __init__(self, raw: StoreReader, location: str, key: Key | None) -> None:
        self._reader, self._location, self.key = raw, location, key
        self._held: Guard | None = None

    def guard(self) -> Guard:
        """What checks the rows as the gallery stands now.

        Raises:
            GalleryLockedError: the key is missing or another one.
        """
        return self._guard_of(self._reader.header())

    def _guard_of(self, header: Header) -> Guard:
        check_key(self._location, header, self.key)
        held = self._held
        if held is None or held.identity != identity(header):
            held = self._held = Guard(self.key, header)
        return held

    def header(self) -> Header:
        """The gallery's own row; checked where its key is at hand."""
        header = self._reader.header()
        if header.key_id and self.key is not None and self.key.id == header.key_id:
            self.check_header(header)
        return header

    def check_header(self, header: Header) -> None:
        """Raises GalleryCorruptError for a header that was changed."""
        guard = self._guard_of(header)
        if not guard.legacy and not hmac.compare_digest(guard.header_tag(header), header.tag):
            raise GalleryCorruptError(
                f"{self._location}: the gallery's own row (model, policy, state) {guard.why}"
            )

    # People

    def find(self, name: str) -> SubjectRow | None:
        """The stored row of the person of that name, whatever its texts and its tag say."""
        return self._reader.subject(self.guard().stored_name(name))

    def subject(self, name: str) -> Subject | None:
        """The person of that name, with the number of templates."""
        guard = self.guard()
        row = self._reader.subject(guard.stored_name(name))
        return None if row is None else self._subject(guard, row)

    def subjects(self) -> Iterator[Subject]:
        """Everybody, by name."""
        guard = self.guard()
        people = (self._subject(guard, row) for row in self._reader.subjects())
        if not guard.keyed or guard.legacy:
            yield from people
        else:
            # What the store sorts by tells nothing about the names.
            yield from sorted(people, key=lambda subject: subject.name.encode())

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, Subject]:
        """Those that exist."""
        guard = self.guard()
        found = self._reader.subjects_by_key(keys)
        return {key: self._subject(guard, row) for key, row in found.items()}

    def subject_keys(self) -> list[int]:
        """Everybody's number."""
        return self._reader.subject_keys()

    def _subject(self, guard: Guard, row: SubjectRow) -> Subject:
        return subject_of_texts(guard.open_subject(row, self._location), self._location)

    # Templates

    def templates(
        self, *, subject_key: int | None = None, after: int = LEAST_KEY, crops: bool = False
    ) -> Iterator[TemplateRow]:
        """In the order of their keys, beyond `after`."""
        guard = self.guard()
        for row in self._reader.templates(subject_key=subject_key, after=after, crops=crops):
            yield self._template(guard, row, crops)

    def templates_by_key(self, keys: Sequence[int], *, crops: bool = False) -> list[TemplateRow]:
        """Those that exist."""
        guard = self.guard()
        rows = self._reader.templates_by_key(keys, crops=crops)
        return [self._template(guard, row, crops) for row in rows]

    def _template(self, guard: Guard, row: TemplateRow, crops: bool) -> TemplateRow:
        if guard.legacy:
            return row
        self._check(guard, vector_row(row))
        wrong = row.has_crop != bool(row.crop_tag)
        if crops and not wrong:
            wrong = guard.crop_tag(row.crop) != row.crop_tag
        if wrong:
            raise GalleryCorruptError(
                f"{self._location}: the crop of template {row.id} {guard.why}"
            )
        return replace(row, source=guard.open_source(row))

    def _check(self, guard: Guard, row: VectorRow) -> None:
        if not hmac.compare_digest(guard.template_tag(row), row[-1]):
            raise GalleryCorruptError(f"{self._location}: template {row[0]} {guard.why}{HINT}")

    def vectors(self, after: int = LEAST_KEY) -> Iterator[list[Vector]]:
        """Batches of (key, subject key, content, vector), in the order of the keys."""
        for batch in self._reader.vectors(after):
            yield self.checked(batch)

    def vectors_by_key(self, keys: Sequence[int]) -> list[Vector]:
        """The same of those that exist, in any order; what a search reads."""
        return self.checked(self._reader.vectors_by_key(keys))

    def stored(self, keys: Sequence[int]) -> list[VectorRow]:
        """Rows as they are stored, whatever their tags say."""
        return self._reader.vectors_by_key(keys)

    def checked(self, batch: Sequence[VectorRow]) -> list[Vector]:
        """Rows whose tags are right."""
        guard = self.guard()
        if not guard.legacy:
            for row in batch:
                self._check(guard, row)
        return [row[:4] for row in batch]

    def template_keys(self, subject_key: int) -> list[int]:
        """The numbers of a subject's templates."""
        return self._reader.template_keys(subject_key)

    def find_content(self, contents: Sequence[bytes]) -> list[tuple[bytes, int, int]]:
        """(content, subject key, template key) of templates made from these photographs."""
        return self._reader.find_content(contents)

    def keys(self, before: str | None = None) -> tuple[Keys, Keys]:
        """(n,) template keys, growing, and (n,) subject keys; made before that moment."""
        return self._reader.keys(before)

    def orphans(self) -> list[int]:
        """Templates (at most 20) that belong to nobody."""
        return self._reader.orphans()

    def audit(self) -> Iterator[AuditEntry]:
        """The whole log, in order."""
        return self._reader.audit()

    # The set

    def set_is_whole(self, header: Header) -> bool:
        """Whether the rows are those that the header's digest was made over."""
        guard = self._guard_of(header)
        return guard.legacy or guard.total(header.digest) == self._total(guard)

    def check_set(self) -> None:
        """Raises GalleryCorruptError when rows are missing, were added or were put back."""
        for _ in range(20):
            header = self.header()
            if self.set_is_whole(header):
                return
            # Rows written while the tags were read are no forgery.
            if self.header().digest == header.digest:
                break
        raise GalleryCorruptError(
            f"{self._location}: rows are missing, were added or were put back; faceprint gallery "
            "verify says more"
        )

    def _total(self, guard: Guard) -> int:
        return sum(guard.elements(batch) for batch in self._reader.tags()) % (1 << 256)
