"""A table of embeddings as an npz archive: one array per column, written as a stream."""

from __future__ import annotations

import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from faceprint.embedding_table.limits import max_bytes
from faceprint.embedding_table.schema import COLUMNS, Columns

__all__ = ["read_npz", "write_npz"]

_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, SyntaxError, TypeError,
    RuntimeError, MemoryError, ArithmeticError, AttributeError, tokenize.TokenError,
)  # fmt: skip
"""What zipfile and numpy raise for a damaged archive, besides ValueError and OSError."""


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that the archive has; all of them for None.

    Raises:
        ValueError: not such an archive, a damaged one, or one that unpacks to too many bytes.
        OSError: not readable.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {
                item.filename.removesuffix(".npy"): item.file_size for item in archive.filelist
            }
        chosen = [name for name in sizes if names is None or name in names]
        total, limit = sum(sizes[name] for name in chosen), max_bytes(path)
        if total > limit:
            raise ValueError(f"its columns take {total:,} bytes; a file of its size has {limit:,}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in chosen}
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error


def write_npz(
    file: IO[bytes],
    layout: Mapping[str, tuple[str, tuple[int, ...]]],
    metadata: Mapping[str, Any],
    groups: Callable[[tuple[str, ...]], Iterator[Columns]],
) -> None:
    """Write one column after another; no column is in memory as a whole.

    Args:
        layout: dtype and shape of each column.
        metadata: stored as JSON in an array `head`.
    """
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        head = np.array(json.dumps(metadata))
        _write_array(archive, "head", head.dtype.str, (), [head])
        for name in COLUMNS:
            dtype, shape = layout[name]
            blocks = (_padded(columns[name], dtype) for columns in groups((name,)))
            _write_array(archive, name, dtype, shape, blocks)


def _padded(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    if values.dtype != object:
        return values
    return np.asarray(["" if value is None else value for value in values], dtype)


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    blocks: Iterable[NDArray[Any]],
) -> None:
    info = zipfile.ZipInfo(f"{name}.npy")
    # Texts are mostly padding; numbers hardly shrink.
    info.compress_type = zipfile.ZIP_DEFLATED if "U" in dtype else zipfile.ZIP_STORED
    with archive.open(info, "w", force_zip64=True) as file:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block).data if block.ndim else block.tobytes())
