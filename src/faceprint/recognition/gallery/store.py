"""What a store does: keep rows, in transactions that are durable or did not happen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from faceprint.recognition.gallery.records import AuditEntry, Header, Subject, TemplateRow
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import Keys, VectorIndex

__all__ = ["GalleryStore", "StoreReader", "StoreWriter", "is_postgres"]


def is_postgres(location: str) -> bool:
    """Whether a location is a PostgreSQL address rather than a file."""
    return location.startswith(("postgresql://", "postgres://"))


class StoreReader(Protocol):
    """Reading, inside or outside of a transaction."""

    def header(self) -> Header:
        """The gallery's own row."""

    def subject(self, name: str) -> Subject | None:
        """The person of that name, with the number of templates."""

    def subjects(self) -> Iterator[Subject]:
        """Everybody, by name."""

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, Subject]:
        """Those that exist."""

    def find_content(self, contents: Sequence[bytes]) -> list[tuple[bytes, int, int]]:
        """(content, subject key, template key) of templates made from these photographs."""

    def templates(
        self, *, subject_key: int | None = None, after: int = 0, crops: bool = False
    ) -> Iterator[TemplateRow]:
        """In the order of their keys, beyond `after`."""

    def templates_by_key(self, keys: Sequence[int], *, crops: bool = False) -> list[TemplateRow]:
        """Those that exist."""

    def keys(self, before: str | None = None) -> tuple[Keys, Keys]:
        """(n,) template keys, growing, and (n,) subject keys; made before that moment."""

    def vectors(self, after: int = 0) -> Iterator[list[tuple[int, int, bytes, bytes]]]:
        """Batches of (template key, subject key, content, vector), in the order of the keys."""

    def vectors_by_key(self, keys: Sequence[int]) -> list[tuple[int, int, bytes, bytes]]:
        """The same of those that exist, in any order; what a search reads."""

    def audit(self) -> Iterator[AuditEntry]:
        """The whole log, in order."""


class StoreWriter(StoreReader, Protocol):
    """Inside a write transaction: nobody else writes, and all of it becomes durable or nothing."""

    def put_subject(self, subject: Subject) -> Subject:
        """Insert, or replace metadata and consent of the person with that key."""

    def put_template(self, row: TemplateRow) -> int:
        """Insert; the key it was given, greater than any before."""

    def replace_vectors(self, rows: Iterable[TemplateRow]) -> None:
        """New `vector`, `norm` and `crop` for rows that exist."""

    def delete_templates(self, keys: Sequence[int]) -> int:
        """How many there were."""

    def delete_subject(self, key: int) -> None:
        """The person and all templates."""

    def put_header(self, header: Header) -> None:
        """Replace the gallery's own row."""

    def put_audit(self, entry: AuditEntry) -> None:
        """Append one line."""


class GalleryStore(StoreReader, Protocol):
    """The only truth about a gallery."""

    @property
    def location(self) -> str:
        """Path or address, without a password."""

    def write(self) -> AbstractContextManager[StoreWriter]:
        """A write transaction, durable when the block is left without an error.

        Raises:
            GalleryError: it could not be made durable (disk full, another writer that does not
                end); nothing of it was stored.
        """

    def scrub(self, *, thorough: bool = False) -> bool:
        """Overwrite what was deleted, in every file; False when another process hinders it."""

    def check(self) -> list[str]:
        """Problems of the storage itself; empty when there are none."""

    def native_search(self, header: Header) -> tuple[VectorIndex, Owners] | None:
        """The store's own index, where it has one for this gallery."""

    def cache_path(self) -> Path | None:
        """Where an index may be cached beside the store; None for nowhere."""

    def close(self) -> None:
        """Let go of files and connections."""
