"""What the functions behind `Gallery` share: the store, the index, and logged changes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from faceprint.errors import ModelMismatchError
from faceprint.recognition.gallery.audit import next_entry
from faceprint.recognition.gallery.authenticated_store import (
    AuthenticatedStore,
    AuthenticatedWriter,
)
from faceprint.recognition.gallery.records import Header, ModelPin, now
from faceprint.recognition.gallery.search import Search

__all__ = ["Change", "GalleryContext"]

_MAX_TRACES = 32
"""Vectors to look for after a deletion: each costs a pass over the gallery's files."""
_MIN_DISTINCT_BYTES = 16
"""In a vector worth looking for: zeros are found anywhere."""


@dataclass(slots=True)
class Change:
    """A write transaction, with the header as it was when the transaction began."""

    writer: AuthenticatedWriter
    header: Header
    actor: str
    templates_changed: bool = field(default=False)

    def log(self, action: str, subject: str = "", **detail: Any) -> None:
        """Append a line to the audit log; `subject` is a uid, never a name."""
        head = (self.header.audit_seq, self.header.audit_hash)
        text = json.dumps(detail, sort_keys=True)
        entry = next_entry(head, now(), self.actor, action, subject, text)
        self.writer.raw.put_audit(entry)
        self.header = replace(self.header, audit_seq=entry.seq, audit_hash=entry.hash)

    def finish(self) -> None:
        """Save the header, as the last step before the commit."""
        if self.templates_changed:
            self.header = replace(self.header, generation=self.header.generation + 1)
        self.writer.put_header(self.header)


class GalleryContext:
    """An open gallery.

    Attributes:
        actor: who is named in the audit log.
        deleted_images: SHA-256 of the photographs whose templates were deleted.
        deleted_vectors: the stored vectors of some of these templates, which must not remain in any
            file, and the SHA-256 of their photographs.
    """

    def __init__(self, store: AuthenticatedStore, search: Search, actor: str) -> None:
        self.store, self.search, self.actor = store, search, actor
        self.deleted_images: set[bytes] = set()
        self.deleted_vectors: dict[bytes, bytes] = {}

    @property
    def location(self) -> str:
        """Path or address, for messages."""
        return self.store.location

    @contextlib.contextmanager
    def change(self, *, pin: ModelPin | None = None) -> Iterator[Change]:
        """A logged write transaction.

        Args:
            pin: the model whose vectors will be written.

        Raises:
            ModelMismatchError: the gallery was migrated to another model since.
        """
        with self.store.write() as writer:
            change = Change(writer, writer.header(), self.actor)
            if pin is not None and pin.hash != change.header.model.hash:
                raise ModelMismatchError(
                    f"{self.location} was migrated to {change.header.model.id} in the meantime; "
                    "open it again with that model"
                )
            yield change
            change.finish()

    def delete_templates(self, change: Change, keys: list[int]) -> int:
        """Delete templates inside a change, and note that their bytes are to be overwritten."""
        # Unchecked: a damaged row can be removed.
        for row in change.writer.raw.vectors_by_key(keys):
            self.deleted_images.add(row.image_sha256)
            distinct = len(set(row.vector))
            if len(self.deleted_vectors) < _MAX_TRACES and distinct >= _MIN_DISTINCT_BYTES:
                self.deleted_vectors[row.vector] = row.image_sha256
        count = change.writer.delete_templates(keys)
        change.templates_changed = True
        change.header = replace(change.header, scrub=True)
        return count
