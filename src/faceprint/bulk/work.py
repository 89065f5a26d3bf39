"""Embeds the photographs of one part; the same on every engine.

The result depends on the photographs and the models alone, never on what was done before. So the
table of a resumed run equals that of an undisturbed one.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from faceprint._optional import require
from faceprint._text import printable
from faceprint.bulk.inputs import is_remote
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import DecodeError, ImageTooLargeError, SourceNotFoundError
from faceprint.types import AnalyzedImage
from faceprint.vision import images

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "CHANGED",
    "Advance",
    "Content",
    "FetchedSources",
    "Outcome",
    "content_of",
    "embed",
    "outcome_of",
    "reason",
    "stamp_of",
]

Advance = Callable[[int], None]
"""Called with how many more photographs are done."""

CHANGED = "changed while it was being read"


class Content(NamedTuple):
    """The content of a photograph's file.

    Attributes:
        stamp: changes whenever the file does, and is found without reading it.
        size: bytes. digest: SHA-256 of the bytes; None if they can't be read.
        error: why they can't be read.
    """

    stamp: str
    size: int
    digest: bytes | None
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The faces of a list of photographs.

    Attributes:
        faces: of all photographs in order, the largest of each first.
        counts: how many faces each photograph has.
        errors: why each photograph failed, without its name; None if it didn't.
    """

    faces: EmbeddingTable
    counts: tuple[int, ...]
    errors: tuple[str | None, ...]


def embed(
    analyzer: FaceAnalyzer, sources: Sequence[str], stamps: Sequence[str], batch_size: int
) -> Outcome:
    """Analyze these photographs; see `outcome_of` for `stamps`."""
    results = analyzer.analyze_groups([FetchedSources(sources)], batch_size=batch_size)
    return outcome_of(results, sources, stamps)


def outcome_of(
    results: Iterator[AnalyzedImage],
    sources: Sequence[str],
    stamps: Sequence[str],
    advance: Advance | None = None,
) -> Outcome:
    """Collect the next `len(sources)` results of a stream.

    Args:
        stamps: of each photograph when its digest was computed. If it has changed since, the
            embedding may be of other bytes than the digest, which is an error.
        advance: called with 1 for every photograph.
    """
    counts, errors, parts = [], [], []
    for source, stamp, result in zip(sources, stamps, islice(results, len(sources)), strict=True):
        error = None if result.error is None else _plain(source, result.error)
        if stamp_of(source)[0] != stamp:
            error = CHANGED
        errors.append(error)
        faces = result.faces if error is None else []
        counts.append(len(faces))
        if faces:
            parts.append(EmbeddingTable.from_faces(faces, source))
        if advance is not None:
            advance(1)
    return Outcome(EmbeddingTable.concatenate(parts), tuple(counts), tuple(errors))


def content_of(source: str, known: Content | None = None) -> Content:
    """A photograph's stamp, size and digest; an unreadable file is reported as `error`.

    Args:
        known: from an earlier run; its digest holds while the stamp is the same.
    """
    try:
        stamp, size = stamp_of(source)
        if not stamp and is_remote(source):
            raise SourceNotFoundError(f"{source}: no such file")
        if not stamp:
            # The decoder says best what is wrong with the name.
            images.decode(source)
        if known is not None and known.stamp == stamp:
            return known
        if size > images.DEFAULT_LIMITS.max_bytes:
            raise ImageTooLargeError(f"{source}: file of {size:,} bytes, over the limit")
        if is_remote(source):
            return Content(stamp, size, hashlib.sha256(_fetched(source)).digest())
        with Path(source).open("rb") as file:
            return Content(stamp, size, hashlib.file_digest(file, "sha256").digest())
    except (DecodeError, OSError, ValueError) as error:
        return Content("", 0, None, _plain(source, error))


def stamp_of(source: str) -> tuple[str, int]:
    """A text that changes with the file, and the file's size; ("", 0) if it can't be read.

    The text is made of size, mtime and ctime. A tool can keep the first two but not set ctime back.
    For an address it is the store's own version of the object.
    """
    if is_remote(source):
        system, path = _system(source)
        try:
            info = system.info(path)
        except (OSError, ValueError):
            return "", 0
        return str(system.ukey(path)), int(info.get("size") or 0)
    try:
        status = Path(source).stat()
    except (OSError, ValueError):
        return "", 0
    if not stat.S_ISREG(status.st_mode):
        return "", 0
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}", status.st_size


def reason(error: str) -> str:
    """The kind of an error, for counting: its first clause, with numbers replaced."""
    general = re.sub(r"\d[\d,.]*\d|\d", "N", error)
    return re.split(r"[:,;(]", general, maxsplit=1)[0].strip()


class FetchedSources(Sequence[str | bytes]):
    """Photographs, those of a remote store being fetched when they are asked for."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources

    def __len__(self) -> int:
        return len(self._sources)

    @overload
    def __getitem__(self, index: int) -> str | bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[str | bytes]: ...
    def __getitem__(self, index: int | slice) -> str | bytes | list[str | bytes]:
        if isinstance(index, int):
            return _bytes_or_name(self._sources[index])
        return [_bytes_or_name(source) for source in self._sources[index]]


def _bytes_or_name(source: str) -> str | bytes:
    if not is_remote(source):
        return source
    try:
        return _fetched(source)
    except (OSError, DecodeError):
        # Gone since its digest was computed, which its stamp will show.
        return b""


def _fetched(source: str) -> bytes:
    system, path = _system(source)
    try:
        return bytes(system.cat_file(path))
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{source}: no such file") from error


def _system(source: str) -> Any:
    return require("fsspec", extra="ray").core.url_to_fs(source)


def _plain(source: str, error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    for name in (source, repr(source), "<bytes>"):
        text = text.removeprefix(f"{name}: ")
    return printable(text)
