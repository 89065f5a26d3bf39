"""What a gallery's store does beyond reading: transactions, overwriting deleted bytes, backups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.sql.reader import SqlReader
from faceprint.recognition.gallery.sql.rows import TemplateColumns
from faceprint.recognition.gallery.sql.writer import SqlWriter
from faceprint.recognition.identify import Owners
from faceprint.recognition.index.base import VectorIndex

__all__ = ["Authenticate", "GalleryStore"]

Authenticate = Callable[[Sequence[TemplateColumns]], Sequence[TemplateColumns]]
"""Gives the same rows, or raises GalleryCorruptError where a tag is wrong."""


class GalleryStore(SqlReader, ABC):
    """Stores rows as they are given. Tags and sealing are the work of `authenticated_store`."""

    @abstractmethod
    def write(self) -> AbstractContextManager[SqlWriter]:
        """A write transaction, durable when the block is left without an error.

        Raises:
            GalleryError: it could not be made durable (the disk is full, another writer does not
                finish); nothing of it was stored.
        """

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written."""
        return False

    @property
    def files(self) -> list[Path]:
        """Every file that may hold bytes of the gallery; none for a server."""
        return []

    @abstractmethod
    def scrub(self, *, thorough: bool = False) -> bool:
        """Rewrite the storage, so that no deleted byte is left in any file.

        Args:
            thorough: lock a server's tables for as long as it takes; a file is always rewritten.

        Returns:
            False when another process prevents it.

        Raises:
            GalleryError: the disk is full, or nothing can be written.
        """

    @abstractmethod
    def backup(self, path: Path) -> None:
        """Copy the gallery into a new file, consistent even while others write."""

    @abstractmethod
    def check(self) -> list[str]:
        """Problems of the storage itself."""

    def native_search(
        self, header: Header, authenticate: Authenticate
    ) -> tuple[VectorIndex, Owners] | None:
        """The database's own index, if it has one; it checks what it reads by `authenticate`."""
        return None

    def cache_path(self) -> Path | None:
        """Where an index may be cached beside the store; None for nowhere."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Close files and connections."""
