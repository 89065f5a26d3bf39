"""Identifying photographs by content (SHA-256) and path.

Names depend on the working folder, and times change with every copy, so neither identifies a
photograph. A file with known content is the same photograph wherever it is now; a file at a known
path with other content was edited.

Names and paths are stored as `printable` writes them: a name may be bytes that are not UTF-8.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from faceprint._files import file_of
from faceprint._text import printable

__all__ = [
    "Content",
    "Found",
    "Photograph",
    "Places",
    "Register",
    "content_of",
    "is_file",
    "is_missing",
    "real_path",
    "resolved",
    "shown",
    "stamp_of",
]


@dataclass(frozen=True, slots=True)
class Content:
    """A file's content when it was last read.

    Attributes:
        digest: SHA-256; None if unknown.
        size, modified: bytes, and modification time in nanoseconds; None if it is no file.
    """

    digest: bytes | None = None
    size: int | None = None
    modified: int | None = None

    def same_stamp(self, other: Content) -> bool:
        """Whether size and time agree, so that the file need not be read."""
        return self.size is not None and (self.size, self.modified) == (other.size, other.modified)


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph of an album.

    Attributes:
        source: its resolved path, or its name in a table if there is no such file.
        name: the name it was given last.
        missing: whether its content was not found at the last check.
    """

    key: int
    source: str
    name: str
    content: Content
    missing: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A named photograph: its path and its content."""

    source: str
    name: str
    content: Content


@dataclass(slots=True)
class Places:
    """The outcome of looking up named photographs in an album.

    Attributes:
        known: photographs of the album by key, with their path and content now.
        edited: those with a known path but other content, with the photograph that was there.
        new: the others.
    """

    known: dict[int, Found] = field(default_factory=dict)
    edited: list[tuple[Found, Photograph]] = field(default_factory=list)
    new: list[Found] = field(default_factory=list)


class Register:
    """The photographs of an album, for looking up named ones."""

    def __init__(self, photographs: Iterable[Photograph]) -> None:
        self._by_source: dict[str, list[Photograph]] = defaultdict(list)
        self._by_digest: dict[bytes, list[Photograph]] = defaultdict(list)
        self._unread: dict[tuple[str, int | None, int | None], list[Photograph]] = defaultdict(list)
        self._placed: set[int] = set()
        self._visited: set[str] = set()
        # Albums of the first version hold unresolved names.
        self.photographs = [
            replace(one, source=resolved(one.source)) if one.content.digest is None else one
            for one in photographs
        ]
        for one in self.photographs:
            self._by_source[one.source].append(one)
            if one.content.digest is not None:
                self._by_digest[one.content.digest].append(one)
            else:
                self._unread[_unread_key(one.source, one.content)].append(one)

    def holds(self, source: str) -> bool:
        """Whether the album has a photograph at that path, whatever its content."""
        return source in self._by_source

    def place(self, names: Sequence[str]) -> Places:
        """Look up photographs; each path counts once, whatever its names."""
        places, rest = Places(), []
        for name in names:
            source, name = resolved(name), printable(name)
            if source in self._visited:
                continue
            self._visited.add(source)
            here = self._by_source.get(source, [])
            content = _content(source, here)
            same = next((one for one in here if _holds_still(one, content)), None)
            if same is None:
                rest.append((Found(source, name, content), here))
            else:
                self._placed.add(same.key)
                places.known[same.key] = Found(source, name, content)
        elsewhere = []
        for found, here in rest:
            moved = self._moved(found)
            if moved is None:
                elsewhere.append((found, here))
            else:
                self._placed.add(moved.key)
                places.known[moved.key] = found
        for found, here in elsewhere:
            before = next((one for one in here if one.key not in self._placed), None)
            if before is None:
                places.new.append(found)
            else:
                self._placed.add(before.key)
                places.edited.append((found, before))
        return places

    def unplaced(self) -> list[Photograph]:
        """Photographs that no named file was found to be."""
        return [one for one in self.photographs if one.key not in self._placed]

    def _moved(self, found: Found) -> Photograph | None:
        """A photograph with the same content that is no longer at its path."""
        if found.content.digest is None:
            return None
        alike = [
            *self._by_digest.get(found.content.digest, []),
            *self._unread.get(_unread_key(found.source, found.content), []),
        ]
        free = [one for one in alike if one.key not in self._placed]
        # If the photograph is still at its path, this file is a copy of it.
        gone = (one for one in free if one.source in self._visited or is_missing(one.source))
        return next(gone, None)


def content_of(source: str) -> Content:
    """A file's content; empty if it can't be read."""
    try:
        path = file_of(source)
        status = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError):
        return Content()
    return Content(digest, status.st_size, status.st_mtime_ns)


def resolved(name: str) -> str:
    """The path of a file without links; the name itself if there is no such file."""
    return real_path(name) if is_file(name) else printable(name)


def real_path(name: str) -> str:
    """The absolute path without links; the name itself if it can't be a path (it has a NUL)."""
    try:
        return printable(os.path.realpath(file_of(name)))
    except (OSError, ValueError):
        return printable(name)


def shown(source: str, name: str) -> str:
    """The name that a photograph was given last if it still leads to it; else its path."""
    if name == source or Path(name).is_absolute():
        return name
    return name if real_path(name) == source else source


def _content(source: str, known: Sequence[Photograph]) -> Content:
    stamp = stamp_of(source)
    for one in known:
        if one.content.digest is not None and one.content.same_stamp(stamp):
            return one.content
    return content_of(source)


def _holds_still(one: Photograph, content: Content) -> bool:
    if one.content.digest is not None and content.digest is not None:
        return one.content.digest == content.digest
    if one.content.size is None or content.size is None:
        return True  # only the name is known, and it is the same
    return one.content.same_stamp(content)


def stamp_of(source: str) -> Content:
    """Size and time of a file, without its digest."""
    try:
        status = file_of(source).stat()
    except (OSError, ValueError):
        return Content()
    return Content(None, status.st_size, status.st_mtime_ns)


def is_file(source: str) -> bool:
    """Whether the file exists; never an error, whatever the name."""
    try:
        return file_of(source).is_file()
    except (OSError, ValueError):
        return False


def is_missing(source: str) -> bool:
    """Whether the file does not exist; False if permissions hide it."""
    try:
        return not stat.S_ISREG(file_of(source).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False


def _unread_key(source: str, content: Content) -> tuple[str, int | None, int | None]:
    """Albums of earlier versions stored no digest: name, size and time identify the file."""
    return Path(source).name, content.size, content.modified
