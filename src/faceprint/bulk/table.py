"""The table of embeddings as a file: written as a stream of groups, read back as columns."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from faceprint._columns import Texts, open_parquet, read_npz
from faceprint._files import atomic_write
from faceprint._optional import require
from faceprint.bulk.rows import FIELDS
from faceprint.errors import DatasetError, UsageError

__all__ = ["COLUMNS", "Columns", "Shape", "check_name", "head_of", "read_table", "write_table"]

COLUMNS = (
    "source", "face", "box", "score", "landmarks", "quality", "embedding", "embedder", "error",
    "duplicate_of",
)  # fmt: skip
"""In this order; `docs/bulk.md` says what each holds."""

QUALITY = ("size", "sharpness", "yaw", "value")

Columns = dict[str, NDArray[Any]]
"""Rows as arrays by column: those of `Rows`, -1 and NaN where there is no face, and texts as
objects, None where there is none."""

Groups = Callable[[tuple[str, ...]], Iterator[Columns]]
"""Gives the table's groups, with these columns alone; may be called several times."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What has to be known before the first row is written.

    Attributes:
        rows: of the whole table. dim: length of an embedding.
        source, error: characters of the longest text of that kind.
    """

    rows: int
    dim: int
    source: int
    error: int


def check_name(path: Path) -> None:
    """Refuse a name whose suffix no table has, and Parquet where its library is missing.

    Raises:
        UsageError: another suffix than .parquet and .npz.
        MissingExtraError: .parquet without the extra `bulk`.
    """
    if path.suffix.lower() not in (".parquet", ".npz"):
        raise UsageError(f"{path}: a table ends in .parquet or .npz")
    if path.suffix.lower() == ".parquet":
        require("pyarrow.parquet", extra="bulk")


def write_table(path: Path, shape: Shape, head: Mapping[str, Any], groups: Groups) -> None:
    """Write a table, group by group; it appears under its name when it is complete.

    Only its owner may read it: it holds embeddings.

    Args:
        head: about the table, as JSON: `head_of` gives it back.

    Raises:
        OSError: it can't be written.
    """
    write = _write_parquet if path.suffix.lower() == ".parquet" else _write_npz
    atomic_write(path, lambda file: write(file, shape, head, groups), private=True)


def head_of(path: Path) -> dict[str, Any] | None:
    """What `write_table` was given about a table, None where the file is not such a table."""
    try:
        if path.suffix.lower() == ".parquet":
            pq = require("pyarrow.parquet", extra="bulk")
            with path.open("rb") as file:  # pyarrow takes names in UTF-8 alone
                text = (pq.read_schema(file).metadata or {}).get(b"faceprint", b"")
        else:
            text = str(read_npz(path, ("head",))["head"])
        head = json.loads(text)
    except (OSError, ValueError, KeyError, RecursionError):
        return None
    return head if isinstance(head, dict) else None


def read_table(path: Path, size: int = 4096) -> Iterator[Columns]:
    """Read a table back, at most `size` rows at a time for Parquet, at once for npz.

    Raises:
        UsageError: another suffix than .parquet and .npz.
        MissingExtraError: .parquet without the extra `bulk`.
        DatasetError: it can't be read, or isn't such a table.
    """
    check_name(path)
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_npz
    try:
        yield from read(path, size)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path}: not a table of embeddings: {error}") from error


# --- Parquet -------------------------------------------------------------------------------------


def _schema(pa: Any, dim: int, head: Mapping[str, Any]) -> Any:
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
    metadata = {"faceprint": json.dumps(head)}
    return pa.schema([(name, types[name]) for name in COLUMNS], metadata=metadata)


def _write_parquet(file: IO[bytes], shape: Shape, head: Mapping[str, Any], groups: Groups) -> None:
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    schema = _schema(pa, shape.dim, head)
    # Embeddings are noise to a compressor: a dictionary or zstd would cost time and gain nothing.
    texts = ["source", "embedder", "error", "duplicate_of"]
    packing = dict.fromkeys(texts, "zstd") | {"embedding.list.element": "none"}
    with pq.ParquetWriter(file, schema, use_dictionary=texts, compression=packing) as writer:
        for columns in groups(COLUMNS):
            arrays = [_arrow(pa, schema.field(name).type, columns[name]) for name in COLUMNS]
            arrays = _blanked(pa, arrays, columns)
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _arrow(pa: Any, kind: Any, values: NDArray[Any]) -> Any:
    if values.dtype == object:
        return pa.array(values, kind)
    if pa.types.is_struct(kind):
        arrays = [_absent(pa, values[:, i]) for i in range(values.shape[1])]
        return pa.StructArray.from_arrays(arrays, QUALITY)
    if values.ndim == 1:
        return pa.array(values, kind)
    array = pa.array(values.reshape(-1))
    for length in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, length)
    return array


def _absent(pa: Any, values: NDArray[Any]) -> Any:
    return pa.array(values, pa.float32(), mask=np.isnan(values))


def _blanked(pa: Any, arrays: list[Any], columns: Columns) -> list[Any]:
    """Null instead of -1 and NaN."""
    nobody = columns["face"] < 0
    absent: dict[str, NDArray[Any]] = dict.fromkeys(FIELDS, nobody)
    absent["landmarks"] = np.asarray(np.isnan(columns["landmarks"]).any(axis=(1, 2)))
    absent["quality"] = np.isnan(columns["quality"][:, 3])
    out = []
    for name, array in zip(COLUMNS, arrays, strict=True):
        if name in absent and absent[name].any():
            keep = pa.array(np.arange(len(nobody)), mask=absent[name])
            array = array.take(keep)
        out.append(array)
    return out


def _read_parquet(path: Path, size: int) -> Iterator[Columns]:
    pa = require("pyarrow", extra="bulk")
    try:
        with path.open("rb") as opened, open_parquet(opened, path) as file:
            texts = Texts(path)
            width = file.schema_arrow.field("embedding").type.list_size
            # Asked for all at once, pyarrow would keep what it has read until the end.
            for group in range(file.num_row_groups):
                some = file.iter_batches(size, row_groups=[group], columns=list(COLUMNS))
                yield from (_numpy(batch, width, texts) for batch in some)
    except (pa.ArrowException, AttributeError) as error:
        raise DatasetError(f"{path}: not a table of embeddings: {error}") from error


def _numpy(batch: Any, width: int, texts: Texts) -> Columns:
    columns: Columns = {}
    rows = batch.num_rows
    shapes = {"box": (4,), "landmarks": (5, 2), "embedding": (width,)}
    for name in COLUMNS:
        array = batch.column(name)
        if name == "quality":
            parts = [_reals(array.field(part), array) for part in QUALITY]
            columns[name] = np.stack(parts, axis=1)
        elif name in shapes:
            out = np.full((rows, *shapes[name]), np.nan, np.float32)
            there = ~np.asarray(array.is_null())
            flat = array.flatten()
            while hasattr(flat, "flatten") and hasattr(flat.type, "list_size"):
                flat = flat.flatten()
            out[there] = np.asarray(flat).reshape(-1, *shapes[name])
            columns[name] = out
        elif name == "score":
            columns[name] = np.asarray(array.to_numpy(zero_copy_only=False), np.float32)
        elif name == "face":
            columns[name] = array.fill_null(-1).to_numpy().astype(np.int32)
        else:
            columns[name] = np.asarray([*texts.column(array), None], object)[:-1]
    return columns


def _reals(array: Any, parent: Any) -> NDArray[np.float32]:
    values = np.asarray(array.to_numpy(zero_copy_only=False), np.float32).copy()
    values[np.asarray(parent.is_null())] = np.nan
    return values


# --- npz -----------------------------------------------------------------------------------------


def _write_npz(file: IO[bytes], shape: Shape, head: Mapping[str, Any], groups: Groups) -> None:
    """A column after another, each streamed: the archive is never in memory."""
    n = shape.rows
    embedder = max(1, len(str(head.get("embedder", ""))))
    layouts: dict[str, tuple[str, tuple[int, ...]]] = {
        "source": (f"<U{shape.source}", (n,)),
        "face": ("<i4", (n,)),
        "box": ("<f4", (n, 4)),
        "score": ("<f4", (n,)),
        "landmarks": ("<f4", (n, 5, 2)),
        "quality": ("<f4", (n, 4)),
        "embedding": ("<f4", (n, shape.dim)),
        "embedder": (f"<U{embedder}", (n,)),
        "error": (f"<U{shape.error}", (n,)),
        "duplicate_of": (f"<U{shape.source}", (n,)),
    }
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        _entry(archive, "head", "<U", (), [np.array(json.dumps(head))])
        for name in COLUMNS:
            kind, dims = layouts[name]
            blocks = (_texts(columns[name], kind) for columns in groups((name,)))
            _entry(archive, name, kind, dims, blocks)


def _texts(values: NDArray[Any], kind: str) -> NDArray[Any]:
    if values.dtype != object:
        return values
    return np.asarray(["" if value is None else value for value in values], kind)


def _entry(
    archive: zipfile.ZipFile,
    name: str,
    kind: str,
    dims: tuple[int, ...],
    blocks: Iterable[NDArray[Any]],
) -> None:
    info = zipfile.ZipInfo(f"{name}.npy")
    # Texts are mostly padding; numbers hardly shrink.
    info.compress_type = zipfile.ZIP_DEFLATED if "U" in kind else zipfile.ZIP_STORED
    with archive.open(info, "w", force_zip64=True) as file:
        started = False
        for block in blocks:
            if not started:
                started = True
                _header(file, block.dtype.str if not dims else kind, dims)
            file.write(np.ascontiguousarray(block).data if block.ndim else block.tobytes())
        if not started:
            _header(file, kind, dims)


def _header(file: IO[bytes], kind: str, dims: tuple[int, ...]) -> None:
    described = {"descr": kind, "fortran_order": False, "shape": dims}
    np.lib.format.write_array_header_2_0(file, described)


def _read_npz(path: Path, size: int) -> Iterator[Columns]:
    held = read_npz(path, COLUMNS)
    table = {name: held[name] for name in COLUMNS}
    for name in ("embedder", "error", "duplicate_of"):
        texts = table[name].astype(object)
        texts[texts == ""] = None
        table[name] = texts
    table["source"] = table["source"].astype(object)
    rows = len(table["face"])
    if any(len(column) != rows for column in table.values()):
        raise DatasetError(f"{path}: columns of several lengths")
    for start in range(0, rows, size):
        yield {name: column[start : start + size] for name, column in table.items()}
