"""Columns of npz and Parquet files that anybody may have made, bounded in what they unfold to.

A few kilobytes can hold a value a hundred thousand times; what is read is held against the size of
the file first.
"""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from faceprint._optional import require

__all__ = ["Texts", "most_unfolded", "open_parquet", "read_npz"]

_LITTLE = 512 << 20
_TIMES = 64
"""Embeddings don't shrink, but texts that are padded to the longest do: by less than this."""

_LITTLE_TEXT, _LONGEST_TEXT = 64 << 20, 1 << 16


def most_unfolded(path: Path) -> int:
    """Bytes that a table may take in memory, from the size of its file.

    Raises:
        OSError: not readable.
    """
    return max(_LITTLE, _TIMES * path.stat().st_size)


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """The columns of these names, those that are there; all of them for None.

    Raises:
        ValueError: not such an archive, a damaged one, or one that unfolds to too many bytes.
        OSError: not readable.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {
                item.filename.removesuffix(".npy"): item.file_size for item in archive.filelist
            }
        wanted = [name for name in sizes if names is None or name in names]
        total, most = sum(sizes[name] for name in wanted), most_unfolded(path)
        if total > most:
            raise ValueError(f"its columns take {total:,} bytes; a file of its size has {most:,}")
        with np.load(path, allow_pickle=False) as columns:
            return {name: np.asarray(columns[name]) for name in wanted}
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error


_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, SyntaxError, TypeError,
    RuntimeError, MemoryError, ArithmeticError, AttributeError, tokenize.TokenError,
)  # fmt: skip
"""What zipfile and numpy raise on a lying archive, beside ValueError and OSError."""


def open_parquet(opened: IO[bytes], path: Path) -> Any:
    """The `pyarrow.parquet.ParquetFile` of an open file; texts come as dictionaries.

    Raises:
        ValueError: a row group that unfolds to too many numbers.
        pyarrow.ArrowException, OSError: not such a file.
        MissingExtraError: pyarrow is not installed.
    """
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    kinds = pq.read_schema(opened)
    opened.seek(0)
    texts = [field.name for field in kinds if pa.types.is_string(field.type)]
    file = pq.ParquetFile(opened, read_dictionary=texts)
    numbers, most = 0, most_unfolded(path)
    for at in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(at)
        columns = (group.column(i) for i in range(group.num_columns))
        numbers += sum(column.num_values for column in columns)
    if 4 * numbers > most:
        raise ValueError(f"it holds {numbers:,} values; a file of its size has {most // 4:,}")
    return file


class Texts:
    """Reads columns of texts, each text once, and counts what they come to."""

    def __init__(self, path: Path) -> None:
        self._left = max(_LITTLE_TEXT, _TIMES * path.stat().st_size)

    def column(self, array: Any) -> list[str | None]:
        """The texts of a pyarrow array, None where there is none.

        Raises:
            ValueError: a text that is too long, or too much text for a file of its size.
        """
        if not hasattr(array, "dictionary"):
            array = array.dictionary_encode()
        values = [str(value) for value in array.dictionary.to_pylist()]
        found = [None if at is None else values[at] for at in array.indices.to_pylist()]
        self._left -= sum(len(text) for text in found if text is not None)
        if self._left < 0 or any(len(value) > _LONGEST_TEXT for value in values):
            raise ValueError("more text than a table of its size holds")
        return found
