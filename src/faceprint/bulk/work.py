"""The one work function: a list of photographs in, their rows out; the same on every engine.

What it returns depends on its argument alone (and on the models), never on what was done before:
that is what makes a resumed run's table equal to an undisturbed run's.
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
from faceprint.bulk.rows import Rows, concatenate, rows_of
from faceprint.errors import DecodeError, ImageTooLargeError, SourceNotFoundError
from faceprint.types import AnalyzedImage
from faceprint.vision import images

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "CHANGED",
    "Content",
    "Opened",
    "Outcome",
    "Seen",
    "content_of",
    "embed",
    "outcome_of",
    "reason",
    "stamp_of",
]

Seen = Callable[[int], None]

CHANGED = "changed while it was being read"


class Content(NamedTuple):
    """What a photograph's file holds.

    Attributes:
        stamp: changes whenever the file does, and costs nothing to look up.
        size: bytes. digest: SHA-256 of the bytes; None when they can't be read.
        error: why not, None when they can.
    """

    stamp: str
    size: int
    digest: bytes | None
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of a list of photographs.

    Attributes:
        rows: all faces, photograph by photograph, largest face first.
        counts: faces of each photograph.
        errors: why a photograph failed, None where it didn't; without its name.
    """

    rows: Rows
    counts: tuple[int, ...]
    errors: tuple[str | None, ...]


def embed(
    fp: FaceAnalyzer, sources: Sequence[str], stamps: Sequence[str], batch_size: int
) -> Outcome:
    """Faces and embeddings of these photographs; `stamps` as `outcome_of` wants them."""
    results = fp.analyze_groups([Opened(sources)], batch_size=batch_size)
    return outcome_of(results, sources, stamps, fp.embedder_card.dim or 0)


def outcome_of(
    results: Iterator[AnalyzedImage],
    sources: Sequence[str],
    stamps: Sequence[str],
    dim: int,
    seen: Seen | None = None,
) -> Outcome:
    """What came of these photographs, from a stream that gives them next.

    Args:
        stamps: of each photograph when its content was taken; one that differs afterwards is
            an error, since the embedding may be of other bytes than the digest.
        seen: called with 1 for every photograph done.
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
            parts.append(rows_of(faces))
        if seen is not None:
            seen(1)
    return Outcome(concatenate(parts, dim), tuple(counts), tuple(errors))


def content_of(source: str, known: Content | None = None) -> Content:
    """A photograph's stamp, size and digest; never raises for what can't be read.

    Args:
        known: from an earlier run; its digest is believed while the stamp is the same.
    """
    try:
        stamp, size = stamp_of(source)
        if not stamp and is_remote(source):
            raise SourceNotFoundError(f"{source}: no such file")
        if not stamp:
            # The one decoder has the better words for what is wrong with the name.
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
    """What changes with the file, and its size; ("", 0) for what is not a readable file.

    Size, time of change of the contents and of the entry: the last can't be set back, so that a
    tool that keeps the first two is noticed. Addresses: what the store says of the object.
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
    """The kind of a failure, for counting: its first clause, without figures."""
    general = re.sub(r"\d[\d,.]*\d|\d", "N", error)
    return re.split(r"[:,;(]", general, maxsplit=1)[0].strip()


class Opened(Sequence[str | bytes]):
    """Photographs that are fetched when their turn comes."""

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
        # Gone since its digest was taken; the stamp says so afterwards.
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
