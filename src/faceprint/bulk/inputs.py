"""What the words of the command line mean: a stream of photographs' names, in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from faceprint._optional import require
from faceprint.errors import DatasetError, UsageError

__all__ = ["LISTS", "SUFFIXES", "expand", "is_remote"]

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif"}
)
"""What counts as a photograph inside a folder; a file that is named itself is taken as it is."""

LISTS = frozenset({".txt", ".lst", ".parquet"})
"""Files that hold names of photographs: a line each, or the column `path`."""


def expand(words: Iterable[str], stdin: Iterable[str] = ()) -> Iterator[str]:
    """Names of photographs, lazily: memory is that of the largest folder's list.

    Args:
        words: files, folders (searched to the bottom, names in order), globs (`**` included),
            lists (`LISTS`), addresses (`s3://bucket/a.jpg`; one that ends in `/` is a folder),
            and `-` for `stdin`.
        stdin: lines of names, used where a word is `-`.

    Raises:
        UsageError: a glob without a match.
        DatasetError: a list that can't be read.
    """
    for word in words:
        if word == "-":
            yield from _lines(stdin)
        elif Path(word).suffix.lower() in LISTS:
            yield from _list(word)
        elif is_remote(word):
            yield from _remote(word)
        elif Path(word).is_dir():
            yield from _folder(word)
        elif glob.has_magic(word) and not Path(word).exists():
            yield from _glob(word)
        else:
            yield word


def is_remote(name: str) -> bool:
    """Whether a name is an address, as `s3://bucket/photo.jpg`."""
    scheme, separator, _ = name.partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum()


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # A name may begin or end with a blank: only the line's end goes.
        if name := line.rstrip("\r\n"):
            yield name


def _folder(folder: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _folder(entry.path)
        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
            yield entry.path


def _glob(pattern: str) -> Iterator[str]:
    found = sorted(glob.iglob(pattern, recursive=True))  # noqa: PTH207 - Path.glob has no `..`
    names = [name for name in found if not Path(name).is_dir()]
    if not names:
        raise UsageError(f"{pattern}: no file of that pattern")
    yield from names


def _list(name: str) -> Iterator[str]:
    try:
        if name.lower().endswith(".parquet"):
            yield from _column(name)
        else:
            with Path(name).open(encoding="utf-8", errors="surrogateescape") as file:
                yield from _lines(file)
    except OSError as error:
        raise DatasetError(f"{name}: {error.strerror or error}") from error


def _column(name: str) -> Iterator[str]:
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    try:
        with pq.ParquetFile(name) as file:
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
    found = [name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES]
    if not found:
        raise UsageError(f"{address}: no photograph there")
    yield from (system.unstrip_protocol(name) for name in found)
