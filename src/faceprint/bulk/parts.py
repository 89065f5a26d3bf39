"""Part files: the faces of some photographs each, and the table that is put together from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from faceprint._files import atomic_write
from faceprint._text import printable
from faceprint.bulk.manifest import Entry, Manifest
from faceprint.bulk.work import Outcome
from faceprint.embedding_table.npz import read_npz
from faceprint.embedding_table.schema import Columns
from faceprint.errors import DatasetError
from faceprint.types import Array

__all__ = ["part_path", "read_column", "save_faces", "table_groups", "write_part"]

GROUP = 4096
"""Photographs in a row group: some 10 MB of 512-d embeddings."""

_BLANK: dict[str, tuple[tuple[int, ...], float, Any]] = {
    "face": ((), -1, np.int32),
    "box": ((4,), np.nan, np.float32),
    "score": ((), np.nan, np.float32),
    "landmarks": ((5, 2), np.nan, np.float32),
    "quality": ((4,), np.nan, np.float32),
}
_FACE_COLUMNS = (*_BLANK, "embedding")


def part_path(folder: Path, number: int) -> Path:
    """Where a part lies."""
    return folder / f"part-{number:07d}.npz"


def write_part(path: Path, outcome: Outcome) -> None:
    """Write a part file: it is there and durable when this returns, or not there at all."""
    atomic_write(path, lambda file: save_faces(file, outcome), private=True)


def save_faces(file: IO[bytes], outcome: Outcome) -> None:
    """Write the faces as an npz archive; `face` is the number of each in its photograph."""
    faces = outcome.faces
    np.savez(
        file,
        allow_pickle=False,
        face=np.concatenate([np.arange(n, dtype=np.int32) for n in (0, *outcome.counts)]),
        box=faces.boxes,
        score=faces.scores,
        landmarks=np.empty((0, 5, 2), np.float32) if faces.landmarks is None else faces.landmarks,
        quality=faces.quality,
        embedding=faces.vectors,
    )


def read_column(path: Path, name: str) -> Array:
    """One column of a part file.

    Raises:
        DatasetError: the file is gone or damaged.
    """
    try:
        return read_npz(path, (name,))[name]
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{path}: damaged or gone ({error}); --overwrite starts the run again"
        ) from error


def table_groups(
    manifest: Manifest, names: Sequence[str], dim: int, embedder: str
) -> Iterator[Columns]:
    """The named columns of the table, a row group at a time, in the order of the input.

    A photograph that failed, or has no face, has one row.
    """
    for entries in manifest.entries(GROUP):
        yield _group(manifest.folder, entries, names, dim, embedder)


def _group(
    folder: Path, entries: list[Entry], names: Sequence[str], dim: int, embedder: str
) -> Columns:
    repeats = np.asarray([max(1, entry.faces) for entry in entries])
    columns: Columns = {}
    for name, values in (
        ("source", [printable(entry.source) for entry in entries]),
        ("error", [entry.error for entry in entries]),
        (
            "duplicate_of",
            [entry.duplicate_of and printable(entry.duplicate_of) for entry in entries],
        ),
        ("embedder", [embedder if entry.faces else None for entry in entries]),
    ):
        if name in names:
            # numpy makes an array of strings from texts alone, so None is added for a moment.
            columns[name] = np.asarray([*values, None], object)[:-1].repeat(repeats)
    starts = np.cumsum(repeats) - repeats
    face_columns = [name for name in _FACE_COLUMNS if name in names]
    for name in face_columns:
        shape, blank, dtype = _BLANK.get(name, ((dim,), np.nan, np.float32))
        columns[name] = np.full((int(repeats.sum()), *shape), blank, dtype)
    for number, (group_rows, part_rows) in _places(entries, starts).items():
        for name in face_columns:
            column = read_column(part_path(folder, number), name)
            columns[name][group_rows] = column[part_rows]
    return columns


def _places(
    entries: list[Entry], starts: NDArray[np.int64]
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Part number -> (rows of the group, rows of the part)."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for entry, start in zip(entries, starts, strict=True):
        if entry.faces and entry.part is not None and entry.first is not None:
            group_rows, part_rows = found.setdefault(entry.part, ([], []))
            group_rows.extend(range(int(start), int(start) + entry.faces))
            part_rows.extend(range(entry.first, entry.first + entry.faces))
    return {number: (np.asarray(a), np.asarray(b)) for number, (a, b) in found.items()}
