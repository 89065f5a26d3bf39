"""The two formats of an export, JSON lines and Parquet; files may come from anybody.

The first JSON line (Parquet: the schema's metadata) names the format and the model; every other
line or row is a template. No path in a file is opened: `source` is only text.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from faceprint._optional import require
from faceprint.errors import DatasetError, ModelMismatchError, UsageError
from faceprint.recognition.gallery.vectors import pack

__all__ = ["Reader", "Record", "Writer", "reader", "writer"]

Record = dict[str, Any]
Writer = Callable[[IO[bytes], Record, Iterable[Record]], int]
Reader = Callable[[Path], Generator[Record, None, None]]

_LONGEST_LINE = 16 << 20
_BATCH = 500
_LARGEST_COLUMN = 256 << 20
"""Bytes of a column in a row group; 2,000 crops of 112 x 112 pixels take about 60 MB."""


def writer(path: Path) -> Writer:
    """The writer for this suffix; raises UsageError unless it is .jsonl or .parquet."""
    return {".jsonl": _write_lines, ".parquet": _write_parquet}[_suffix(path)]


def reader(path: Path) -> Reader:
    """The reader for this suffix: yields the head first, then one record per template."""
    return {".jsonl": _read_lines, ".parquet": _read_parquet}[_suffix(path)]


def _suffix(path: Path) -> str:
    if path.suffix not in (".jsonl", ".parquet"):
        raise UsageError(f"{path}: an export ends in .jsonl or .parquet")
    return path.suffix


def _write_lines(file: IO[bytes], head: Record, records: Iterable[Record]) -> int:
    count = 0
    file.write(json.dumps(head).encode() + b"\n")
    for record in records:
        crop = record["crop"]
        crop = None if crop is None else base64.b64encode(crop).decode()
        vector = base64.b64encode(pack(record["vector"])).decode()
        line = record | {"vector": vector, "crop": crop}
        file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        count += 1
    return count


def _parquet_schema(head: Record) -> Any:
    pa = require("pyarrow", extra="bulk")
    text = ("subject", "metadata", "consent", "content", "source")
    fields = [(name, pa.string()) for name in text]
    fields += [("box", pa.list_(pa.float32())), ("quality", pa.float64()), ("norm", pa.float64())]
    fields += [("created", pa.string()), ("vector", pa.list_(pa.float32(), head["model"]["dim"]))]
    return pa.schema([*fields, ("crop", pa.binary())], metadata={"faceprint": json.dumps(head)})


def _write_parquet(file: IO[bytes], head: Record, records: Iterable[Record]) -> int:
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    schema = _parquet_schema(head)
    count = 0
    batch: list[Record] = []
    with pq.ParquetWriter(file, schema) as writer:
        for record in records:
            batch.append(record)
            count += 1
            if len(batch) == 2000:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return count


def _read_lines(path: Path) -> Generator[Record, None, None]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise DatasetError(f"{path}, line {number}: longer than {_LONGEST_LINE} bytes")
            try:
                record = json.loads(line)
                if number > 1:
                    vector = base64.b64decode(record["vector"], validate=True)
                    crop = record.get("crop")
                    crop = None if crop is None else base64.b64decode(crop, validate=True)
                    record |= {"vector": vector, "crop": crop}
            except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
                raise DatasetError(f"{path}, line {number}: {error!r}") from error
            if not isinstance(record, dict):
                raise DatasetError(f"{path}, line {number}: not a JSON object")
            yield record


def _read_parquet(path: Path) -> Generator[Record, None, None]:
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    try:
        # Dictionaries stay as they are: a small file may refer to one large value many times.
        repeated = ["subject", "metadata", "consent", "content", "source", "created", "crop"]
        with path.open("rb") as opened, pq.ParquetFile(opened, read_dictionary=repeated) as file:
            found = (file.schema_arrow.metadata or {}).get(b"faceprint", b"{}")
            head = json.loads(found)
            yield head if isinstance(head, dict) else {}
            schema = _parquet_schema(head)
            if pq.read_schema(opened).remove_metadata() != schema.remove_metadata():
                raise DatasetError(f"{path}: the columns are not an export's")
            _check_sizes(path, file.metadata, head["model"]["dim"])
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in range(batch.num_rows):
                    # One row at a time: a whole batch as Python objects would be all copies.
                    record = {name: batch.column(name)[row].as_py() for name in schema.names}
                    vector = np.asarray(record["vector"] or [], "<f4").tobytes()
                    yield record | {"vector": vector}
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, (DatasetError, ModelMismatchError, UsageError)):
            raise
        raise DatasetError(f"{path}: {error}") from error


def _check_sizes(path: Path, metadata: Any, dim: int) -> None:
    """Refuse row groups that decompress to more than an export's can, before reading one."""
    most = {"box.list.element": 4, "vector.list.element": dim}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            values = group.num_rows * most.get(column.path_in_schema, 1)
            if column.num_values > values or column.total_uncompressed_size > _LARGEST_COLUMN:
                raise DatasetError(
                    f"{path}: row group {number} has {column.num_values} values of "
                    f"{column.path_in_schema} in {column.total_uncompressed_size} bytes, more than "
                    "an export has"
                )
