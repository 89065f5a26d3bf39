"""Expands files, folders, globs and lists into a stream of photographs, in a fixed order."""

from __future__ import annotations

import codecs
import fnmatch
import glob
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from faceprint._files import refuse_pipes
from faceprint._optional import require
from faceprint.errors import DatasetError, UsageError
from faceprint.vision.search_report import SearchReport
from faceprint.vision.sources import IMAGE_SUFFIXES, find_images, walk

__all__ = ["LISTS", "expand", "is_remote", "lines_of"]

LISTS = frozenset({".txt", ".lst", ".parquet"})
"""Suffixes of files that list photographs: one per line, or in the column `path`."""


_LONGEST_LINE = 1 << 16


def expand(
    words: Iterable[str],
    stdin: Iterable[str] = (),
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
) -> Iterator[str]:
    """Yield names of photographs; memory holds the list of one folder at a time.

    Args:
        words: files, folders (searched as `find_images` does it), globs (`**` included),
            lists (`LISTS`), addresses (`s3://bucket/a.jpg`; one that ends in `/` is a folder),
            and `-` for `stdin`.
        stdin: lines of names, used where a word is `-`.
        exclude: patterns of what is skipped in folders.
        report: records what was skipped.

    Raises:
        UsageError: a glob without a match.
        DatasetError: a list that can't be read.
    """
    search = SearchReport() if report is None else report
    for word in words:
        if word == "-":
            yield from _names(stdin)
        elif os.path.isdir(word):  # noqa: PTH112 - False, and no error, below a closed folder
            yield from find_images(word, exclude=exclude, report=search)
        elif Path(word).suffix.lower() in LISTS:
            yield from _list(word)
        elif is_remote(word):
            yield from _remote(word)
        elif glob.has_magic(word) and not os.path.lexists(word):
            yield from _glob(word, exclude, search)
        else:
            yield word


def lines_of(stream: IO[bytes]) -> Iterator[str]:
    """The lines of a list of file names, from a file or standard input.

    Names are bytes in UTF-8 or not; a byte-order mark is not part of the first one. A list in
    UTF-16, as Windows makes them, is known by its mark.

    Raises:
        DatasetError: a line that is too long for any name, as those of files that hold no lines.
    """
    buffered = (
        stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("Any", stream))
    )
    start = buffered.peek(2)[:2]
    utf16 = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding, errors = ("utf-16", "replace") if utf16 else ("utf-8-sig", "surrogateescape")
    # Only the line feed ends a line: a name may hold any other separator.
    text = io.TextIOWrapper(buffered, encoding, errors, newline="\n")
    try:
        while line := text.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE and not line.endswith("\n"):
                raise DatasetError(
                    f"not a list of file names: a line is longer than {_LONGEST_LINE:,} letters"
                )
            yield line
    finally:
        text.detach()  # the caller closes it


def is_remote(name: str) -> bool:
    """Whether a name is an address, as `s3://bucket/photo.jpg`."""
    scheme, separator, _ = name.partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum()


def _names(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # A name may begin or end with a blank: only the line's end goes.
        if name := line.rstrip("\r\n"):
            yield name


def _glob(pattern: str, exclude: Sequence[str], report: SearchReport) -> Iterator[str]:
    names = (
        _match_recursive(pattern, exclude, report)
        if "**" in _parts(pattern)
        else _match_flat(pattern, report)
    )
    found = False
    for name in names:
        found = True
        yield name
    if not found and not report.unreadable:
        raise UsageError(f"{pattern}: no file matches this pattern")


def _match_flat(pattern: str, report: SearchReport) -> list[str]:
    """The files that match a pattern without `**`; it is as deep as it has slashes."""
    parts = pattern.split("/")
    for depth in range(1, len(parts)):
        for folder in glob.iglob("/".join(parts[:depth])) if parts[depth - 1] else ():  # noqa: PTH207
            if os.path.isdir(folder) and glob.has_magic(parts[depth]):  # noqa: PTH112
                try:
                    os.scandir(folder).close()
                except OSError as error:  # glob says nothing of it
                    report.fail(folder, error)
    found = sorted(glob.iglob(pattern))  # noqa: PTH207 - Path.glob has no `..`
    return [name for name in found if not os.path.isdir(name)]  # noqa: PTH112


def _match_recursive(pattern: str, exclude: Sequence[str], report: SearchReport) -> Iterator[str]:
    """The files that match a pattern with `**`; each folder is entered once."""
    parts = _parts(pattern)
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    start = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
    cut = 0 if fixed == 0 else len(start.rstrip("/")) + 1
    for path in walk(start, exclude=exclude, report=report):
        name = path.removeprefix("./") if fixed == 0 else path
        if _matches(_parts(name[cut:]), parts[fixed:]):
            yield name


def _parts(path: str) -> list[str]:
    return path.replace(os.sep, "/").split("/")


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a path's parts match a pattern's; `**` matches any number of folders."""
    if not parts:
        return not names
    if parts[0] == "**":
        rest = parts[1:] or ["*"]
        if rest[0] == "**":
            return _matches(names, rest)
        return any(_matches(names[start:], rest) for start in range(len(names)))
    return bool(names) and fnmatch.fnmatch(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _list(name: str) -> Iterator[str]:
    try:
        refuse_pipes(Path(name))
        if name.lower().endswith(".parquet"):
            yield from _column(name)
        else:
            with Path(name).open("rb") as file:
                yield from _names(lines_of(file))
    except OSError as error:
        raise DatasetError(f"{name}: {error.strerror or error}") from error


def _column(name: str) -> Iterator[str]:
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    try:
        with Path(name).open("rb") as opened, pq.ParquetFile(opened) as file:
            if "path" not in file.schema_arrow.names:
                raise DatasetError(f"{name}: a list of photographs needs the column `path`")
            for batch in file.iter_batches(batch_size=4096, columns=["path"]):
                yield from (str(path) for path in batch.column(0).to_pylist() if path)
    except pa.ArrowException as error:
        raise DatasetError(f"{name}: {error}") from error


def _remote(address: str) -> Iterator[str]:
    if not address.endswith("/") and not glob.has_magic(address):
        yield address
        return
    fsspec = require("fsspec", extra="ray")
    system, root = fsspec.core.url_to_fs(address)
    names = system.find(root) if address.endswith("/") else system.glob(root)
    found = [name for name in sorted(names) if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise UsageError(f"{address}: no photograph there")
    yield from (system.unstrip_protocol(name) for name in found)
