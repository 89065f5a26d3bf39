"""Columns of a table as a file: Parquet some rows at a time, npz at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint._columns import Texts, open_parquet, read_npz
from faceprint._optional import require
from faceprint.errors import InputError
from faceprint.types import Array

__all__ = ["Columns", "Vectors", "read_columns"]

_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """A column of rows of numbers, all of one length.

    Attributes:
        rows: (n, d) float32; anything where there is none.
        there: (n,) whether there is one.
    """

    rows: Array
    there: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)


Columns = dict[str, Any]
"""`Vectors` where the rows are of one length (`embedding` always is); lists or arrays else."""


def read_columns(path: Path, wanted: Sequence[str]) -> tuple[int, Iterator[Columns]]:
    """How many rows a table has, and its columns of these names, those that it has.

    Raises:
        InputError: not such a file.
        MissingExtraError: Parquet without the extra `bulk`.
    """
    return _npz(path, wanted) if path.suffix.lower() == ".npz" else _parquet(path, wanted)


def _npz(path: Path, wanted: Sequence[str]) -> tuple[int, Iterator[Columns]]:
    try:
        columns: Columns = dict(read_npz(path, wanted))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not an npz table: {error}") from error
    rows = columns.get("embedding")
    if rows is not None:
        if rows.ndim != 2 or rows.dtype.kind not in "fiu":
            raise InputError(f"{path}: embedding {rows.shape} is not a row of numbers a face")
        columns["embedding"] = Vectors(np.asarray(rows, np.float32), np.ones(len(rows), bool))
    if "source" in columns and columns["source"].ndim != 1:
        raise InputError(f"{path}: source is not one value a face")
    return len(columns.get("source", ())), iter([columns])


def _parquet(path: Path, wanted: Sequence[str]) -> tuple[int, Iterator[Columns]]:
    pa = require("pyarrow", extra="bulk")
    opened = None
    try:
        opened = path.open("rb")  # pyarrow takes names in UTF-8 alone
        file, texts = open_parquet(opened, path), Texts(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        if opened is not None:
            opened.close()
        raise InputError(f"{path}: not a Parquet table: {error}") from error
    names = [name for name in wanted if name in file.schema_arrow.names]

    def batches() -> Iterator[Columns]:
        try:
            with opened, file:
                # Asked for all at once, pyarrow would keep what it has read until the end.
                for group in range(file.num_row_groups):
                    some = file.iter_batches(_ROWS, row_groups=[group], columns=names)
                    for batch in some:
                        yield {name: _column(pa, name, batch.column(name), texts) for name in names}
            pa.default_memory_pool().release_unused()
        except (OSError, ValueError, pa.ArrowException) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: not a Parquet table: {error}") from error

    return file.metadata.num_rows, batches()


def _column(pa: Any, name: str, array: Any, texts: Texts) -> Any:
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or (
        pa.types.is_fixed_size_list(array.type)
    ):  # fmt: skip
        return _vectors(pa, name, array)
    if pa.types.is_dictionary(array.type):
        return texts.column(array)
    return array.to_pylist()


def _vectors(pa: Any, name: str, array: Any) -> Any:
    """Without a Python number for each component, which would be forty times their size."""
    there = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), bool)
    flat = array.drop_null().flatten()
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        if name == "embedding":
            raise InputError(f"{name} holds {flat.type}, not numbers")
        return array.to_pylist()
    count = int(there.sum())
    width = len(flat) // count if count else 0
    lengths = np.asarray(array.drop_null().value_lengths()) if count else np.empty(0)
    if (lengths != width).any():
        raise InputError(f"{name} holds rows of {int(lengths.min())} and {int(lengths.max())}")
    rows = np.full((len(array), width), np.nan, np.float32)
    rows[there] = flat.to_numpy(zero_copy_only=False).reshape(count, width)
    return Vectors(rows, there)
