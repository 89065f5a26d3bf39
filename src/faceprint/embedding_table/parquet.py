"""A table of embeddings as a Parquet file, read and written some thousand rows at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from faceprint._optional import require
from faceprint.embedding_table.limits import LONGEST_TEXT, max_bytes, max_characters
from faceprint.embedding_table.parquet_footer import count_values
from faceprint.embedding_table.schema import COLUMNS, QUALITY, TEXTS, Columns
from faceprint.types import Array

__all__ = ["parquet_metadata", "read_parquet", "write_parquet"]


def write_parquet(
    file: IO[bytes],
    dim: int,
    metadata: Mapping[str, Any],
    groups: Callable[[tuple[str, ...]], Iterator[Columns]],
) -> None:
    """Write each group of rows as a row group, with null for -1, NaN and None."""
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    schema = _schema(pa, dim, metadata)
    # Embeddings are noise to a compressor: a dictionary or zstd would cost time and gain nothing.
    compression = dict.fromkeys(TEXTS, "zstd") | {"embedding.list.element": "none"}
    with pq.ParquetWriter(
        file, schema, use_dictionary=list(TEXTS), compression=compression
    ) as writer:
        for columns in groups(COLUMNS):
            nulls = _nulls(columns)
            arrays = [
                _arrow_array(pa, schema.field(name).type, columns[name], nulls.get(name))
                for name in COLUMNS
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _schema(pa: Any, dim: int, metadata: Mapping[str, Any]) -> Any:
    real, text = pa.float32(), pa.string()
    types = {
        "source": text,
        "face": pa.int32(),
        "box": pa.list_(real, 4),
        "score": real,
        "landmarks": pa.list_(pa.list_(real, 2), 5),
        "quality": pa.struct([(name, real) for name in QUALITY]),
        "embedding": pa.list_(real, dim),
        "embedder": text,
        "error": text,
        "duplicate_of": text,
    }
    fields = [(name, types[name]) for name in COLUMNS]
    return pa.schema(fields, metadata={"faceprint": json.dumps(metadata)})


def _nulls(columns: Columns) -> dict[str, NDArray[np.bool_]]:
    """Which rows of the numeric columns are null."""
    no_face = columns["face"] < 0
    return {
        "face": no_face,
        "box": no_face,
        "score": no_face,
        "landmarks": np.asarray(np.isnan(columns["landmarks"]).any(axis=(1, 2))),
        "quality": np.isnan(columns["quality"][:, 3]),
        "embedding": no_face,
    }


def _arrow_array(pa: Any, kind: Any, values: NDArray[Any], null: NDArray[np.bool_] | None) -> Any:
    if values.dtype == object:
        return pa.array(values, kind)
    if pa.types.is_struct(kind):
        parts = [pa.array(part, pa.float32(), mask=np.isnan(part)) for part in values.T]
        array = pa.StructArray.from_arrays(parts, QUALITY)
    else:
        array = pa.array(values.reshape(-1))
        for length in reversed(values.shape[1:]):
            array = pa.FixedSizeListArray.from_arrays(array, length)
    if null is not None and null.any():
        array = array.take(pa.array(np.arange(len(null)), mask=null))
    return array


def parquet_metadata(path: Path) -> str:
    """The JSON text that was written with a table; empty where the file has none.

    Raises:
        OSError, ValueError: not such a file.
    """
    pq = require("pyarrow.parquet", extra="bulk")
    with path.open("rb") as file:  # pyarrow takes names in UTF-8 alone
        text: bytes = (pq.read_schema(file).metadata or {}).get(b"faceprint", b"")
    return text.decode("utf-8", "replace")


def read_parquet(
    path: Path, names: Sequence[str], rows: int
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Read those of the named columns that the file has.

    Yields:
        The number of rows of the whole table, and the columns of at most `rows` of them.

    Raises:
        ValueError: not such a file, or one that unpacks to too much.
        OSError: not readable.
    """
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    try:
        with path.open("rb") as opened:
            schema = pq.read_schema(opened)
            opened.seek(0)
            # Repeated texts are then read once.
            texts = [field.name for field in schema if pa.types.is_string(field.type)]
            with pq.ParquetFile(opened, read_dictionary=texts) as file:
                _check_size(path)
                reader = _ColumnReader(pa, path)
                present = [field.name for field in schema if field.name in names]
                # Asked for all row groups at once, pyarrow would keep what it read until the end.
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(rows, row_groups=[group], columns=present):
                        yield file.metadata.num_rows, reader.columns(batch)
        pa.default_memory_pool().release_unused()
    except (pa.ArrowException, AttributeError) as error:
        raise ValueError(str(error)) from error


def _check_size(path: Path) -> None:
    values, limit = count_values(path), max_bytes(path) // 4
    if values > limit:
        raise ValueError(f"it holds {values:,} values; a file of its size has {limit:,}")


class _ColumnReader:
    """Turns pyarrow's arrays into numpy's, and counts the characters of their texts."""

    def __init__(self, pa: Any, path: Path) -> None:
        self._pa = pa
        self._characters_left = max_characters(path)

    def columns(self, batch: Any) -> dict[str, NDArray[Any]]:
        """The columns of a record batch: None or NaN for null, face -1 without an embedding."""
        columns = {}
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if not self._pa.types.is_null(array.type):
                columns[name] = self._column(name, array)
            elif name == "face":
                columns[name] = np.full(len(array), -1)
        if "embedding" in batch.schema.names:
            null = np.asarray(batch.column("embedding").is_null())
            if null.any():
                columns["face"] = np.where(null, -1, columns.get("face", 0))
        return columns

    def _column(self, name: str, array: Any) -> NDArray[Any]:
        types = self._pa.types
        if name in TEXTS or types.is_dictionary(array.type):
            return self._texts(name, array)
        if types.is_struct(array.type):
            return _struct_rows(array)
        if _is_list(types, array.type):
            return self._rows_of_numbers(name, array)
        return np.asarray(array.to_numpy(zero_copy_only=False))

    def _texts(self, name: str, array: Any) -> NDArray[Any]:
        if _is_list(self._pa.types, array.type):
            raise ValueError(f"{name} is not one value per row")
        if not hasattr(array, "dictionary"):
            array = array.dictionary_encode()
        # A missing text may be NaN, which is not equal to itself.
        values = [None if v is None or v != v else str(v) for v in array.dictionary.to_pylist()]
        found = [None if at is None else values[at] for at in array.indices.to_pylist()]
        self._characters_left -= sum(len(text) for text in found if text is not None)
        longest = max((len(value) for value in values if value is not None), default=0)
        if self._characters_left < 0 or longest > LONGEST_TEXT:
            raise ValueError("more text than a table of its size holds")
        # numpy makes an array of strings from texts alone, so None is added for a moment.
        return np.asarray([*found, None], object)[:-1]

    def _rows_of_numbers(self, name: str, array: Any) -> Array:
        """(n, d), without a Python number per component, which would be forty times their size."""
        types = self._pa.types
        valid, lists = np.asarray(array.is_valid()), array.drop_null()
        lengths = np.asarray(lists.value_lengths())
        if len(lists) and (lengths != lengths[0]).any():
            raise ValueError(f"{name} holds rows of {lengths.min()} and {lengths.max()}")
        flat = lists
        while _is_list(types, flat.type):
            flat = flat.flatten()
        if not (types.is_floating(flat.type) or types.is_integer(flat.type)):
            raise ValueError(f"{name} holds {flat.type}, not numbers")
        width = len(flat) // len(lists) if len(lists) else _fixed_width(types, array.type)
        rows = np.full((len(array), width), np.nan, np.float32)
        rows[valid] = flat.to_numpy(zero_copy_only=False).reshape(len(lists), width)
        return rows


def _is_list(types: Any, kind: Any) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _fixed_width(types: Any, kind: Any) -> int:
    """How many numbers a row has by its type alone; 0 if the type does not fix that."""
    if not _is_list(types, kind):
        return 1
    return int(getattr(kind, "list_size", 0)) * _fixed_width(types, kind.value_type)


def _struct_rows(array: Any) -> Array:
    """(n, 4) of a quality's fields; NaN for null and for a field that the struct lacks."""
    rows = np.full((len(array), len(QUALITY)), np.nan, np.float32)
    for place, name in enumerate(QUALITY):
        if array.type.get_field_index(name) >= 0:
            rows[:, place] = array.field(name).to_numpy(zero_copy_only=False)
    rows[np.asarray(array.is_null())] = np.nan
    return rows
