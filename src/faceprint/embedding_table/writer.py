"""Writing tables of embeddings group by group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from faceprint._files import atomic_write
from faceprint._optional import require
from faceprint.embedding_table.npz import write_npz
from faceprint.embedding_table.parquet import write_parquet
from faceprint.embedding_table.schema import Columns
from faceprint.errors import UsageError

__all__ = ["TableSize", "check_table_name", "write_table"]

_Groups = Callable[[tuple[str, ...]], Iterator[Columns]]


@dataclass(frozen=True, slots=True)
class TableSize:
    """What has to be known of a table before its first row is written.

    Attributes:
        rows: of the whole table. dim: length of an embedding.
        source, error: characters of the longest source and of the longest error.
    """

    rows: int
    dim: int
    source: int
    error: int


def check_table_name(path: Path) -> None:
    """Refuse a suffix that tables don't have, and Parquet where its library is missing.

    Raises:
        UsageError: a suffix other than .parquet and .npz.
        MissingExtraError: .parquet without the extra `bulk`.
    """
    if path.suffix.lower() not in (".parquet", ".npz"):
        raise UsageError(f"{path}: the name of a table ends in .parquet or .npz")
    if path.suffix.lower() == ".parquet":
        require("pyarrow.parquet", extra="bulk")


def write_table(path: Path, size: TableSize, metadata: Mapping[str, Any], groups: _Groups) -> None:
    """Write a table group by group; it appears under its name once it is complete.

    Only its owner may read it, since it holds embeddings.

    Args:
        metadata: about the table, as JSON; `read_metadata` returns it.
        groups: returns the table's rows, some thousand at a time, with these columns alone; may be
            called several times.

    Raises:
        OSError: it can't be written.
    """
    if path.suffix.lower() == ".parquet":
        write = partial(write_parquet, dim=size.dim, metadata=metadata, groups=groups)
    else:
        layout = _npz_layout(size, str(metadata.get("embedder", "")))
        write = partial(write_npz, layout=layout, metadata=metadata, groups=groups)
    atomic_write(path, write, private=True)


def _npz_layout(size: TableSize, embedder: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    n = size.rows
    return {
        "source": (f"<U{size.source}", (n,)),
        "face": ("<i4", (n,)),
        "box": ("<f4", (n, 4)),
        "score": ("<f4", (n,)),
        "landmarks": ("<f4", (n, 5, 2)),
        "quality": ("<f4", (n, 4)),
        "embedding": ("<f4", (n, size.dim)),
        "embedder": (f"<U{max(1, len(embedder))}", (n,)),
        "error": (f"<U{size.error}", (n,)),
        "duplicate_of": (f"<U{size.source}", (n,)),
    }
