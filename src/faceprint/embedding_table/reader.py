"""Reading tables of embeddings, those of other programs included."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._mapped import new_rows
from faceprint._text import printable
from faceprint.embedding_table.npz import read_npz
from faceprint.embedding_table.parquet import parquet_metadata, read_parquet
from faceprint.embedding_table.schema import COLUMNS, Columns, EmbeddingTable, conform
from faceprint.errors import DatasetError, InputError, ModelMismatchError, SourceNotFoundError
from faceprint.similarity import normalize
from faceprint.types import AnalyzedImage, Array, Face

__all__ = ["embedder_of", "read_groups", "read_metadata", "read_photographs", "read_table"]

_ROWS = 4096
_FACE_COLUMNS = ("source", "face", "box", "score", "quality", "embedding", "embedder", "error")


def read_metadata(path: Path) -> dict[str, Any] | None:
    """What `write_table` was given about a table; None where the file is not such a table."""
    try:
        if _is_npz(path):
            metadata = json.loads(str(read_npz(path, ("head",))["head"]))
        else:
            metadata = json.loads(parquet_metadata(path))
    except (OSError, ValueError, KeyError, RecursionError):
        return None
    return metadata if isinstance(metadata, dict) else None


def embedder_of(path: Path) -> str:
    """The embedder that the first face of a table names; empty where there is none.

    Raises:
        What `read_groups` raises.
    """
    for columns in read_groups(path):
        named = [str(name) for name in columns["embedder"] if name is not None]
        if named:
            return named[0]
    return ""


def read_groups(path: Path, rows: int = _ROWS) -> Iterator[Columns]:
    """All columns and rows of a table, at most `rows` at a time; an npz archive is read at once.

    Raises:
        SourceNotFoundError: no such file.
        DatasetError: it can't be read, or isn't such a table; the message says why.
        MissingExtraError: Parquet without the extra `bulk`.
    """
    for _, columns in _groups(path, COLUMNS, rows):
        for start in range(0, len(columns["face"]), rows):
            yield {name: values[start : start + rows] for name, values in columns.items()}


def read_table(path: Path, scratch: Path | None = None) -> EmbeddingTable:
    """The faces of a table without landmarks, and as `failed` the photographs with an error.

    The columns are those that `embed` writes (docs/bulk.md). Only `source` and `embedding` must be
    there.

    Args:
        scratch: a folder for a file that the vectors are mapped from, instead of memory.

    Raises:
        SourceNotFoundError: no such file.
        DatasetError: it can't be read, or isn't such a table; the message says why.
        ModelMismatchError: embeddings of several models.
        MissingExtraError: Parquet without the extra `bulk`.
    """
    # All vectors go into one array from the start, so that they are there once.
    vectors: Array | None = None
    parts: list[EmbeddingTable] = []
    failed: list[tuple[str, str]] = []
    count = 0
    for total, columns in _groups(path, _FACE_COLUMNS, _ROWS):
        errors = columns["error"]
        for source, error in zip(columns["source"], errors, strict=True):
            if error is not None:
                failed.append((printable(str(source)), error))
        usable = np.asarray([error is None for error in errors], bool)
        chosen = np.flatnonzero(usable & (columns["face"] >= 0))
        if not len(chosen):
            continue
        part = _faces(columns, chosen, path)
        dim = part.vectors.shape[1]
        if vectors is None:
            vectors = new_rows((total, dim), scratch)
        if vectors.shape[1] != dim:
            raise DatasetError(f"{path}: embeddings of {vectors.shape[1]} and {dim} numbers")
        start, count = count, count + len(part)
        vectors[start:count] = part.vectors
        parts.append(replace(part, vectors=vectors[start:count]))
    try:
        table = EmbeddingTable.concatenate(parts, None if vectors is None else vectors[:count])
    except ModelMismatchError as error:
        raise ModelMismatchError(f"{path}: {error}") from error
    return replace(table, failed=tuple(failed))


def read_photographs(path: Path) -> Iterator[AnalyzedImage]:
    """The photographs of a table with their faces, in its order, as `analyze_many` gives them.

    A few thousand rows are in memory at a time. What a table does not hold stays unknown: sizes of
    photographs, norms of embeddings. A quality is there where its value is.

    Raises:
        What `read_table` raises.
    """
    for source, rows in itertools.groupby(_rows(path), key=lambda row: row[0]):
        faces: list[Face] = []
        error: InputError | None = None
        for _, found in rows:
            if isinstance(found, Face):
                faces.append(found)
            elif found is not None:
                error = InputError(f"{source}: {found}")
        yield AnalyzedImage(source, faces, error=error)


def _rows(path: Path) -> Iterator[tuple[str, Face | str | None]]:
    """Each row's photograph, and its face; or why it failed, or None where there is no face."""
    model = None
    for columns in read_groups(path):
        errors = columns["error"]
        usable = (columns["face"] >= 0) & np.asarray([error is None for error in errors], bool)
        faces: Iterator[Face] = iter(())
        if usable.any():
            part = _faces(columns, np.flatnonzero(usable), path)
            if model not in (None, part.embedder):
                raise ModelMismatchError(f"{path}: embeddings of {model} and {part.embedder}")
            model, faces = part.embedder, iter(part.faces())
        for source, error, good in zip(columns["source"], errors, usable, strict=True):
            yield printable(str(source)), next(faces) if good else error


def _faces(columns: Columns, chosen: Any, path: Path) -> EmbeddingTable:
    embedders = sorted({name or "" for name in columns["embedder"][chosen]})
    if len(embedders) > 1:
        raise ModelMismatchError(f"{path}: embeddings of {' and '.join(embedders)}")
    try:
        vectors, _ = normalize(columns["embedding"][chosen])
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    return EmbeddingTable(
        # The faces of one photograph share its name.
        tuple(sys.intern(printable(str(source))) for source in columns["source"][chosen]),
        _finite(columns["box"][chosen], 0),
        _finite(columns["score"][chosen], 0),
        _finite(columns["quality"][chosen], np.nan),
        vectors,
        embedders[0],
        (None,) * len(chosen),
    )


def _finite(numbers: Array, unknown: float) -> Array:
    """What another program left empty, or gave as infinite, reads as in a table without it."""
    return np.where(np.isfinite(numbers), numbers, np.float32(unknown))


def _groups(path: Path, names: Sequence[str], rows: int) -> Iterator[tuple[int, Columns]]:
    """The number of rows of the table, and the named columns of some of them."""
    if not path.is_file():
        raise SourceNotFoundError(f"{path}: no such file")
    try:
        if _is_npz(path):
            columns = conform(read_npz(path, names), names)
            yield len(columns["face"]), columns
        else:
            for total, found in read_parquet(path, names, rows):
                yield total, conform(found, names)
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: not a table of embeddings: {reason}") from error


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz"
