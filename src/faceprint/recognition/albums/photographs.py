"""Which photograph is which: a photograph is its content (SHA-256) at a place (a resolved path).

Names depend on the folder that a command runs in, and times change with every copy, so neither says
what a photograph is. One whose content is known is the same photograph wherever it lies now; one
whose place is known but holds other bytes was edited.

Names and paths are kept as `printable` has them: a name may be bytes that are not UTF-8.
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
    """What a file held when it was looked at.

    Attributes:
        digest: SHA-256; None where it is not known.
        size, modified: bytes, and nanoseconds of the last change; None of what is no file.
    """

    digest: bytes | None = None
    size: int | None = None
    modified: int | None = None

    def same_stamp(self, other: Content) -> bool:
        """Whether size and time agree, so that the bytes need not be read."""
        return self.size is not None and (self.size, self.modified) == (other.size, other.modified)


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph of an album.

    Attributes:
        source: its resolved path, or the name that a table gave it where there is no such file.
        name: as it was named last.
        missing: whether its content was not found where it was, when that was last looked at.
    """

    key: int
    source: str
    name: str
    content: Content
    missing: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A named photograph: its place, and what it holds."""

    source: str
    name: str
    content: Content


@dataclass(slots=True)
class Places:
    """What became of named photographs.

    Attributes:
        known: those that are in the album, by key: where they lie and what they hold now.
        edited: those whose place is known and holds something else, with what was there.
        new: the others.
    """

    known: dict[int, Found] = field(default_factory=dict)
    edited: list[tuple[Found, Photograph]] = field(default_factory=list)
    new: list[Found] = field(default_factory=list)


class Register:
    """The photographs of an album, to find named ones among them."""

    def __init__(self, photographs: Iterable[Photograph]) -> None:
        self._by_source: dict[str, list[Photograph]] = defaultdict(list)
        self._by_digest: dict[bytes, list[Photograph]] = defaultdict(list)
        self._unread: dict[tuple[str, int | None, int | None], list[Photograph]] = defaultdict(list)
        self._placed: set[int] = set()
        self._visited: set[str] = set()
        # Albums of the first version hold names as they were given.
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
        """Whether a photograph of that place is known, whatever it holds."""
        return source in self._by_source

    def place(self, names: Sequence[str]) -> Places:
        """Find photographs; each place counts once, however often and by whatever name."""
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
        """Photographs that nothing was found to be."""
        return [one for one in self.photographs if one.key not in self._placed]

    def _moved(self, found: Found) -> Photograph | None:
        """A photograph of the same content that is no longer where it was."""
        if found.content.digest is None:
            return None
        alike = [
            *self._by_digest.get(found.content.digest, []),
            *self._unread.get(_unread_key(found.source, found.content), []),
        ]
        free = [one for one in alike if one.key not in self._placed]
        # One that lies where it lay has not moved: this is a copy of it.
        gone = (one for one in free if one.source in self._visited or is_missing(one.source))
        return next(gone, None)


def content_of(source: str) -> Content:
    """What a file holds; nothing is known of one that can't be read."""
    try:
        path = file_of(source)
        status = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError):
        return Content()
    return Content(digest, status.st_size, status.st_mtime_ns)


def resolved(name: str) -> str:
    """The path of a file without links; a name that is no file's stays as it is."""
    return real_path(name) if is_file(name) else printable(name)


def real_path(name: str) -> str:
    """The absolute path without links; what can't be a path, as with a NUL, stays as it is."""
    try:
        return printable(os.path.realpath(file_of(name)))
    except (OSError, ValueError):
        return printable(name)


def shown(source: str, name: str) -> str:
    """The name that a photograph was given last, where that still leads to it; else its path."""
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
        return True  # nothing is known but the name, which is the same
    return one.content.same_stamp(content)


def stamp_of(source: str) -> Content:
    """Size and time of a file, without its digest."""
    try:
        status = file_of(source).stat()
    except (OSError, ValueError):
        return Content()
    return Content(None, status.st_size, status.st_mtime_ns)


def is_file(source: str) -> bool:
    """Whether a file is there; never an error, whatever the name."""
    try:
        return file_of(source).is_file()
    except (OSError, ValueError):
        return False


def is_missing(source: str) -> bool:
    """Whether no file is there; False where a folder's permissions don't let us know."""
    try:
        return not stat.S_ISREG(file_of(source).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False


def _unread_key(source: str, content: Content) -> tuple[str, int | None, int | None]:
    """Albums of earlier versions knew size and time alone: with the file's name that is enough."""
    return Path(source).name, content.size, content.modified
