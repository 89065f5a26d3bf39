"""Tables in a dump that `pg_dump` wrote as SQL; the dump may come from anybody.

Only the data of `COPY` is read, line by line, and nothing is executed. A table is found by reading
the dump from its beginning, so memory does not grow with the dump.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from faceprint._files import refuse_pipes
from faceprint.errors import DatasetError
from faceprint.recognition.gallery.foreign.tables import Row, Tables

__all__ = ["DUMP_SUFFIXES", "dump_tables"]

DUMP_SUFFIXES = (".sql", ".sql.gz")

_NAME = r'"(?:[^"]|"")+"|[^\s".,()]+'
_COPY = re.compile(rf"COPY (?:({_NAME})\.)?({_NAME}) \((.*)\) FROM stdin;\n?")
_LIST = re.compile(rf"(?:{_NAME})(?:, |$)")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_LONGEST_LINE = 16 << 20


class _DumpTables:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.label = str(path)
        self._columns: dict[str, tuple[str, ...]] = {}
        self._twice: set[str] = set()
        with self._open() as file:
            for found, columns in _copies(file):
                for name in (found, found.partition(".")[2]):
                    self._twice |= {name} & set(self._columns)
                    self._columns[name] = columns
        if not self._columns:
            raise DatasetError(
                f"{path}: no tables; a dump is text made by pg_dump without --inserts (from "
                "pg_dump -Fc: pg_restore -f dump.sql FILE)"
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            refuse_pipes(self._path)
            opened = gzip.open if self._path.suffix == ".gz" else open
            with opened(self._path, "rb") as file:
                yield cast("IO[bytes]", file)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"{self._path}: {error}") from error

    def columns(self, table: str) -> tuple[str, ...]:
        if table in self._twice:
            raise DatasetError(f"{self._path} has several tables {table}; dump one database alone")
        return self._columns.get(table, ())

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        with self._open() as file:
            for found, there in _copies(file):
                if table not in (found, found.partition(".")[2]):
                    continue
                places = [there.index(column) for column in columns]
                for line in _data(file, self.label):
                    cells = line.split("\t")
                    if len(cells) != len(there):
                        raise DatasetError(f"{self._path}: a damaged line of {table}")
                    yield tuple(_value(cells[place]) for place in places)
                return


def dump_tables(path: Path) -> Tables:
    """The tables of a dump, which may be compressed by gzip.

    Raises:
        DatasetError: not such a dump, or damaged.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is not a file")
    return _DumpTables(path)


def _copies(file: IO[bytes]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The tables whose data follows: schema.name, and columns.

    Data that the caller has not read by then is passed over.
    """
    in_data = begins = True
    in_data = False
    while line := file.readline(1 << 16):
        whole, begins = begins, line.endswith(b"\n")
        if not whole:
            continue
        if in_data or not line.startswith(b"COPY "):
            in_data = in_data and line.rstrip(b"\r\n") != b"\\."
            continue
        header = _COPY.fullmatch(line.decode("utf-8", "replace").replace("\r\n", "\n"))
        if header is None:
            continue
        schema, name = _unquoted(header[1] or "public"), _unquoted(header[2])
        columns = [text.removesuffix(", ") for text in _LIST.findall(header[3])]
        in_data = True
        yield f"{schema}.{name}", tuple(map(_unquoted, columns))


def _data(file: IO[bytes], label: str) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        if not line.endswith(b"\n"):
            raise DatasetError(f"{label}: cut off, or a line over {_LONGEST_LINE >> 20} MiB")
        text = line.rstrip(b"\r\n").decode("utf-8")
        if text == "\\.":
            return
        yield text
    raise DatasetError(f"{label}: cut off")


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _value(cell: str) -> str | None:
    if cell == "\\N":
        return None
    return _ESCAPE.sub(_unescaped, cell) if "\\" in cell else cell


def _unescaped(match: re.Match[str]) -> str:
    text = match[1]
    if text[0] == "x" and len(text) > 1:
        return chr(int(text[1:], 16))
    return chr(int(text, 8)) if text[0].isdigit() else _LETTERS.get(text, text)
