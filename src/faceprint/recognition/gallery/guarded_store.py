"""A store whose rows are checked when they are read, and tagged when they are written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.guard import Guard
from faceprint.recognition.gallery.guarded import GuardedReader
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Header,
    Subject,
    SubjectRow,
    TemplateRow,
)
from faceprint.recognition.gallery.sql_rows import subject_texts
from faceprint.recognition.gallery.store import GalleryStore, StoreWriter
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import VectorIndex

__all__ = ["GuardedStore", "GuardedWriter"]


class GuardedWriter(GuardedReader):
    """The same inside a write transaction, plus changes."""

    def __init__(self, raw: StoreWriter, location: str, key: Key | None) -> None:
        super().__init__(raw, location, key)
        self._writer = raw
        self._start = self.header()
        self._old = self._new = self._guard_of(self._start)
        self._change = self._settled = 0
        self._anew = self._old.total(self._start.digest) is None

    @property
    def raw(self) -> StoreWriter:
        """Without any guard."""
        return self._writer

    def guard(self) -> Guard:
        """What reads the rows that were there when the transaction began."""
        return self._old

    def renew(self, guard: Guard) -> None:
        """Write with another guard from now on; every row will be written again."""
        self._new, self._anew = guard, True

    def put_subject(self, subject: Subject) -> Subject:
        """Insert, or replace name, metadata and consent of the person with that key."""
        new = not subject.key
        if new:
            subject = replace(subject, key=self._writer.next_key("subjects"))
        self.put_subject_texts(subject_texts(subject), new=new)
        return subject

    def put_subject_texts(self, row: SubjectRow, *, new: bool = False) -> None:
        """The same of a person as texts."""
        if not (new or self._anew):
            (tag,) = [found.tag for found in self._reader.subjects_by_key([row.key]).values()]
            self._forget([tag])
        row = self._new.seal_subject(row)
        self._writer.put_subject(row, new=new)
        self._remember([row.tag])

    def put_template(self, row: TemplateRow) -> int:
        """Insert; the key it was given, greater than any before."""
        row = replace(row, key=self._writer.next_key("templates"))
        row = self._new.seal_template(row)
        self._writer.put_template(row)
        self._remember([row.tag])
        return row.key

    def replace_vectors(self, rows: Iterable[TemplateRow]) -> None:
        """New `vector`, `norm` and `crop` for rows that exist; `source` is given in clear."""
        for row in rows:
            self._forget(self._writer.tags_of(templates=[row.key]))
            sealed = self._new.seal_template(row)
            self._writer.replace_vectors([sealed])
            self._remember([sealed.tag])

    def delete_templates(self, keys: Sequence[int]) -> int:
        """How many there were."""
        self._forget(self._writer.tags_of(templates=keys))
        return self._writer.delete_templates(keys)

    def delete_subject(self, key: int) -> None:
        """The person and all templates."""
        self._forget(self._writer.tags_of(subject=key))
        self._writer.delete_subject(key)

    def put_header(self, header: Header) -> None:
        """Replace the gallery's own row, with the digest over the set as it is now."""
        known = None if self._anew else self._old.total(self._start.digest)
        total = self._total(self._new) if known is None else (known + self._change) % (1 << 256)
        self._writer.put_header(self._new.sign(header, total))
        self._settled = self._change

    def put_audit(self, entry: AuditEntry) -> None:
        """Append one line."""
        self._writer.put_audit(entry)

    def settle(self) -> None:
        """Bring the header's digest up to date, if nobody did; the last step before a commit."""
        if self._change != self._settled:
            self.put_header(self._reader.header())

    def _forget(self, tags: list[bytes]) -> None:
        self._change -= 0 if self._anew else self._old.elements(tags)

    def _remember(self, tags: list[bytes]) -> None:
        self._change += 0 if self._anew else self._new.elements(tags)


class GuardedStore(GuardedReader):
    """A `GalleryStore` behind its guard: the only truth about a gallery."""

    def __init__(self, raw: GalleryStore, key: Key | None = None) -> None:
        super().__init__(raw, raw.location, key)
        self.raw = raw

    @property
    def location(self) -> str:
        """Path or address, without a password."""
        return self._location

    @contextlib.contextmanager
    def write(self) -> Iterator[GuardedWriter]:
        """A write transaction (`GalleryStore.write`)."""
        with self.raw.write() as raw:
            writer = GuardedWriter(raw, self._location, self.key)
            yield writer
            writer.settle()

    def scrub(self, *, thorough: bool = False) -> bool:
        """Write every file of the gallery anew (`GalleryStore.scrub`)."""
        return self.raw.scrub(thorough=thorough)

    def check(self) -> list[str]:
        """Problems of the storage itself; empty when there are none."""
        return self.raw.check()

    def native_search(self, header: Header) -> tuple[VectorIndex, Owners] | None:
        """The store's own index, where it has one for this gallery."""
        return self.raw.native_search(header, self.checked)

    def cache_path(self) -> Path | None:
        """Where an index may be cached beside the store; None for nowhere."""
        return self.raw.cache_path()

    def close(self) -> None:
        """Let go of files and connections."""
        self.raw.close()
