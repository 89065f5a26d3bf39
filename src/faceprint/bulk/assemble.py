"""From part files to the table: in the order of the input, a group of rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint._text import printable
from faceprint.bulk.manifest import Entry, Manifest
from faceprint.bulk.rows import FIELDS, read_column
from faceprint.bulk.table import Columns

__all__ = ["groups", "part_path"]

GROUP = 4096
"""Photographs in a row group: some 10 MB of 512-d embeddings."""

_BLANK: dict[str, tuple[tuple[int, ...], float, Any]] = {
    "face": ((), -1, np.int32),
    "box": ((4,), np.nan, np.float32),
    "score": ((), np.nan, np.float32),
    "landmarks": ((5, 2), np.nan, np.float32),
    "quality": ((4,), np.nan, np.float32),
}


def part_path(folder: Path, number: int) -> Path:
    """Where a part lies."""
    return folder / f"part-{number:07d}.npz"


def groups(manifest: Manifest, wanted: Sequence[str], dim: int, embedder: str) -> Iterator[Columns]:
    """The table's groups with the columns that are wanted.

    A photograph without a face, and one that failed, has one row.
    """
    for entries in manifest.entries(GROUP):
        yield _group(manifest.folder, entries, wanted, dim, embedder)


def _group(
    folder: Path, entries: list[Entry], wanted: Sequence[str], dim: int, embedder: str
) -> Columns:
    repeats = np.asarray([max(1, entry.faces) for entry in entries])
    columns: Columns = {}
    for name, values in (
        ("source", [printable(entry.source) for entry in entries]),
        ("error", [entry.error for entry in entries]),
        ("duplicate_of", [entry.twin and printable(entry.twin) for entry in entries]),
        ("embedder", [embedder if entry.faces else None for entry in entries]),
    ):
        if name in wanted:
            # None is put at the end for a moment: texts alone would become a text array.
            columns[name] = np.asarray([*values, None], object)[:-1].repeat(repeats)
    starts = np.cumsum(repeats) - repeats
    needed = [name for name in FIELDS if name in wanted]
    for name in needed:
        shape, blank, kind = _BLANK.get(name, ((dim,), np.nan, np.float32))
        columns[name] = np.full((int(repeats.sum()), *shape), blank, kind)
    for number, (into, out_of) in _places(entries, starts).items():
        for name in needed:
            columns[name][into] = read_column(part_path(folder, number), name)[out_of]
    return columns


def _places(
    entries: list[Entry], starts: NDArray[np.int64]
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Part number -> (rows of the group, rows of the part)."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for entry, start in zip(entries, starts, strict=True):
        if entry.faces and entry.part is not None and entry.first is not None:
            into, out_of = found.setdefault(entry.part, ([], []))
            into.extend(range(int(start), int(start) + entry.faces))
            out_of.extend(range(entry.first, entry.first + entry.faces))
    return {number: (np.asarray(a), np.asarray(b)) for number, (a, b) in found.items()}
