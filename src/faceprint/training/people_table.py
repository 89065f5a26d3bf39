"""People in a Parquet table: a column `person`, with `path`, or `image` that holds the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from faceprint._optional import require
from faceprint._text import counted, printable
from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import LabeledSet, Picture

__all__ = ["SUFFIXES", "TablePictures", "open_people_table"]

SUFFIXES = (".parquet", ".pq")

_MOST_BYTES = 1 << 30
"""Pictures of one row group, which is read at once."""


class TablePictures(Sequence[Picture]):
    """Pictures inside a table. The row group that was used last is held in memory.

    Args:
        path: the table.
        starts: (groups + 1,) the first row of each row group, and the number of rows.
        rows: (n,) the rows of the pictures.
    """

    def __init__(self, path: Path, starts: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        self.path, self._starts, self._rows = path, starts, rows
        self._group, self._held = -1, [b""]

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, i: int) -> str:
        """The name of one picture, which is not read."""
        return f"{self.path.stem}-{int(self._rows[i]) + 1}"

    @overload
    def __getitem__(self, i: int) -> Picture: ...
    @overload
    def __getitem__(self, i: slice) -> TablePictures: ...
    def __getitem__(self, i: int | slice) -> Picture | TablePictures:
        """One picture with its bytes, or a part of the table.

        Raises:
            DatasetError: the table can't be read.
        """
        if isinstance(i, slice):
            return TablePictures(self.path, self._starts, self._rows[i])
        row = int(self._rows[i])
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if group != self._group:
            with _opened(self.path) as file:
                column = file.read_row_group(group, columns=["image"]).column("image")
                self._held = [_bytes(value) for value in column.to_pylist()]
            self._group = group
        return Picture(self.name(i), self._held[row - int(self._starts[group])])


def open_people_table(path: Path, *, aligned: bool = False) -> LabeledSet:
    """Open a Parquet file with a column `person`, and `path` or `image`.

    A path is relative to the table's folder. An image is the bytes of a file, or a structure with
    `bytes`, as Hugging Face's datasets have it. Rows without a person are left out.

    Args:
        aligned: the pictures are aligned crops.

    Raises:
        DatasetError: not such a table, fewer than two people, or a row group of more than 1 GiB.
        MissingExtraError: pyarrow is not installed.
    """
    with _opened(path) as file:
        names = file.schema_arrow.names
        if "person" not in names or not {"path", "image"} & {*names}:
            raise DatasetError(
                f"{path}: expected the columns person, and path or image; found {', '.join(names)}"
            )
        people = _column(file, "person")
        places = None if "image" in names else _column(file, "path")
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    rows = np.asarray([i for i, person in enumerate(people) if person is not None], np.int64)
    known, subjects = np.unique([str(people[i]) for i in rows], return_inverse=True)
    if len(known) < 2:
        there = counted(len(known), "person", "people")
        raise DatasetError(f"{path}: holds {there}, expected at least two")
    pictures: Sequence[Picture]
    if places is None:
        largest = max(_size(group) for group in groups)
        if largest > _MOST_BYTES:
            raise DatasetError(
                f"{path}: a row group holds {largest:,} bytes of images, more than "
                f"{_MOST_BYTES:,}; write it with smaller row groups"
            )
        starts = np.cumsum([0, *(group.num_rows for group in groups)], dtype=np.int64)
        pictures = TablePictures(path, starts, rows)
    else:
        found = [str(places[i]) for i in rows]
        pictures = tuple(Picture(printable(name), path.parent / name) for name in found)
    title = tuple(printable(str(name)) for name in known)
    return LabeledSet(printable(path.stem), pictures, subjects.astype(np.int64), title, aligned)


def _size(group: Any) -> int:
    """Bytes of the images of a row group, which are in memory when it is read."""
    columns = [group.column(i) for i in range(group.num_columns)]
    return sum(
        int(each.total_uncompressed_size)
        for each in columns
        if each.path_in_schema.split(".")[0] == "image"
    )


def _column(file: Any, name: str) -> list[Any]:
    values: list[Any] = []
    for batch in file.iter_batches(batch_size=4096, columns=[name]):
        values += batch.column(0).to_pylist()
    return values


def _bytes(value: Any) -> bytes:
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else b""


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    arrow = require("pyarrow", extra="bulk")
    parquet = require("pyarrow.parquet", extra="bulk")
    try:
        # pyarrow itself takes names in UTF-8 alone.
        with path.open("rb") as opened, parquet.ParquetFile(opened) as file:
            yield file
    except (OSError, arrow.ArrowException) as error:
        raise DatasetError(f"{path}: not a readable Parquet file ({error})") from error
