"""What a store does: keep rows, in transactions that are durable or did not happen.

A store keeps what it is given. Tags and sealed texts are made and checked above it (`guarded`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

from faceprint.recognition.gallery.records import (
    AuditEntry,
    Header,
    SubjectRow,
    TemplateRow,
    VectorRow,
)
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import Keys, VectorIndex

__all__ = [
    "LEAST_KEY",
    "Check",
    "GalleryStore",
    "StoreReader",
    "StoreWriter",
    "Table",
    "is_postgres",
]

LEAST_KEY = -(1 << 63)
"""Below every key. Galleries number from 1; what a stranger numbered otherwise is seen as well."""

Check = Callable[[Sequence[VectorRow]], Sequence[tuple[int, int, bytes, bytes]]]
"""Rows to (key, subject key, content, vector), when their tags are right."""

Table = Literal["subjects", "templates"]


def is_postgres(location: str) -> bool:
    """Whether a location is a PostgreSQL address rather than a file."""
    return location.lower().startswith(("postgresql://", "postgres://"))


class StoreReader(Protocol):
    """Reading, inside or outside of a transaction."""

    def header(self) -> Header:
        """The gallery's own row."""

    def subject(self, name: str) -> SubjectRow | None:
        """The person of that stored name, with the number of templates."""

    def subjects(self) -> Iterator[SubjectRow]:
        """Everybody, by stored name."""

    def subjects_by_key(self, keys: Sequence[int]) -> dict[int, SubjectRow]:
        """Those that exist."""

    def subject_keys(self) -> list[int]:
        """Everybody's number, growing."""

    def find_content(self, contents: Sequence[bytes]) -> list[tuple[bytes, int, int]]:
        """(content, subject key, template key) of templates made from these photographs."""

    def templates(
        self, *, subject_key: int | None = None, after: int = LEAST_KEY, crops: bool = False
    ) -> Iterator[TemplateRow]:
        """In the order of their keys, beyond `after`."""

    def templates_by_key(self, keys: Sequence[int], *, crops: bool = False) -> list[TemplateRow]:
        """Those that exist."""

    def keys(self, before: str | None = None) -> tuple[Keys, Keys]:
        """(n,) template keys, growing, and (n,) subject keys; made before that moment."""

    def vectors(self, after: int = LEAST_KEY) -> Iterator[list[VectorRow]]:
        """Batches, in the order of the keys."""

    def vectors_by_key(self, keys: Sequence[int]) -> list[VectorRow]:
        """Those that exist, in any order; what a search reads."""

    def template_keys(self, subject_key: int) -> list[int]:
        """The numbers of a subject's templates, growing."""

    def tags(self) -> Iterator[list[bytes]]:
        """The tags of all subjects and templates, in batches and any order."""

    def tags_of(self, *, templates: Sequence[int] = (), subject: int | None = None) -> list[bytes]:
        """The tags of these templates; or of a subject and all templates of theirs."""

    def orphans(self) -> list[int]:
        """Templates (at most 20) that belong to no subject."""

    def audit(self) -> Iterator[AuditEntry]:
        """The whole log, in order."""


class StoreWriter(StoreReader, Protocol):
    """Inside a write transaction: nobody else writes, and all of it becomes durable or nothing."""

    def next_key(self, table: Table) -> int:
        """A key greater than any before."""

    def put_subject(self, row: SubjectRow, *, new: bool) -> None:
        """Insert under its key, or replace the row with that key."""

    def put_template(self, row: TemplateRow) -> None:
        """Insert under its key."""

    def replace_vectors(self, rows: Iterable[TemplateRow]) -> None:
        """New `source`, `vector`, `norm`, `crop` and tags for rows that exist."""

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

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written at its place."""

    @property
    def files(self) -> list[Path]:
        """Every file that may hold bytes of the gallery; none for a server's."""

    def scrub(self, *, thorough: bool = False) -> bool:
        """Write everything anew, so that no deleted byte is left in any file.

        Args:
            thorough: lock a server's tables for as long as it takes; a file is always written anew.

        Returns:
            False when another process hinders it.

        Raises:
            GalleryError: there is no room, or nothing can be written.
        """

    def backup(self, path: Path) -> None:
        """Copy the gallery, consistent though others write, into a new file."""

    def check(self) -> list[str]:
        """Problems of the storage itself; empty when there are none."""

    def native_search(self, header: Header, check: Check) -> tuple[VectorIndex, Owners] | None:
        """The store's own index, where it has one; what it reads passes through `check`."""

    def cache_path(self) -> Path | None:
        """Where an index may be cached beside the store; None for nowhere."""

    def close(self) -> None:
        """Let go of files and connections."""
