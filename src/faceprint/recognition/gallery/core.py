"""What every operation on a gallery shares: its store, its key, and changes that are logged."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from faceprint.errors import ModelMismatchError, UnknownSubjectError, UsageError
from faceprint.recognition.gallery.audit import next_entry
from faceprint.recognition.gallery.crypto import Key, Sealer
from faceprint.recognition.gallery.guard import check_key
from faceprint.recognition.gallery.guarded_store import GuardedStore, GuardedWriter
from faceprint.recognition.gallery.records import Header, ModelPin, Subject, TemplateRow, now

__all__ = ["Change", "Core", "check_name"]

_MOST_TRACES = 32
"""Vectors that a deletion looks for afterwards: each costs a pass over the gallery's files."""
_LEAST_TRACE = 16
"""Different bytes in one of them: zeros lie everywhere."""


@dataclass(slots=True)
class Change:
    """A write transaction with the header as it stood when the transaction began."""

    writer: GuardedWriter
    header: Header
    actor: str
    templates_changed: bool = field(default=False)

    def log(self, action: str, subject: str = "", **detail: Any) -> None:
        """Append a line to the audit log; `subject` is a uid, never a name."""
        head = (self.header.audit_seq, self.header.audit_hash)
        text = json.dumps(detail, sort_keys=True)
        entry = next_entry(head, now(), self.actor, action, subject, text)
        self.writer.put_audit(entry)
        self.header = replace(self.header, audit_seq=entry.seq, audit_hash=entry.hash)

    def finish(self) -> None:
        """Write the header back, as the last step before the commit."""
        if self.templates_changed:
            self.header = replace(self.header, generation=self.header.generation + 1)
        self.writer.put_header(self.header)


class Core:
    """A store, the key that opens its records, and who is at work."""

    def __init__(self, store: GuardedStore, actor: str) -> None:
        self.store, self.actor = store, actor
        self.forgotten: set[bytes] = set()
        """Hashes of photographs whose templates were removed."""
        self.traces: dict[bytes, bytes] = {}
        """Of some of them the stored vectors, which no file may hold any more."""

    @property
    def key(self) -> Key | None:
        """What opens the records."""
        return self.store.key

    @property
    def location(self) -> str:
        """Path or address, for messages."""
        return self.store.location

    def sealer(self, header: Header) -> Sealer:
        """What opens and seals the records of this header.

        Raises:
            GalleryLockedError: the gallery is encrypted and the key is missing or another one.
        """
        check_key(self.location, header, self.key)
        key, version = self.key if header.key_id else None, 2 if header.tag else 1
        return Sealer(key, header.uid, header.model.hash, version)

    @contextlib.contextmanager
    def change(self, *, pin: ModelPin | None = None) -> Iterator[Change]:
        """A logged write transaction.

        Args:
            pin: the model whose vectors will be written; refused when the gallery's changed since.
        """
        with self.store.write() as writer:
            change = Change(writer, writer.header(), self.actor)
            if pin is not None and pin.hash != change.header.model.hash:
                raise ModelMismatchError(
                    f"{self.location} was migrated to {change.header.model.id} meanwhile; open it "
                    "again with that model"
                )
            yield change
            change.finish()

    def remove(self, change: Change, keys: list[int]) -> int:
        """Delete templates inside a change and leave a note that their bytes are to be scrubbed."""
        # Read without looking at tags: a damaged row can be removed.
        for row in change.writer.stored(keys):
            self.forgotten.add(bytes(row[2]))
            if len(self.traces) < _MOST_TRACES and len(set(row[3])) >= _LEAST_TRACE:
                self.traces[bytes(row[2])] = bytes(row[3])
        count = change.writer.delete_templates(keys)
        change.templates_changed = True
        change.header = replace(change.header, scrub=True)
        return count

    def require_subject(self, name: str) -> Subject:
        """The person of that name; raises UnknownSubjectError."""
        subject = self.store.subject(name)
        if subject is None:
            raise UnknownSubjectError(f"{self.location} holds nobody called {name!r}")
        return subject

    def open_vector(self, sealer: Sealer, subject_uid: str, row: TemplateRow) -> bytes:
        """A row's vector in clear."""
        return sealer.open(row.vector, subject_uid, row.content, "vector")


def check_name(name: str) -> str:
    """A subject's name, normalized (NFC) so that one name has one spelling.

    Raises:
        UsageError: empty, longer than 256 characters, or with control characters.
    """
    import unicodedata

    clean = unicodedata.normalize("NFC", name).strip()
    if not clean or len(clean) > 256:
        raise UsageError(f"a subject's name has 1 to 256 characters; this one has {len(clean)}")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in clean):
        raise UsageError(f"the subject's name {clean!r} holds control characters")
    return clean
