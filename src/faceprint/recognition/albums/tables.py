"""Reading an embedding table: Parquet or npz, a row a face."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._text import printable
from faceprint.errors import InputError, ModelMismatchError, SourceNotFoundError
from faceprint.recognition.albums.columns import Columns, Vectors, read_columns
from faceprint.recognition.albums.faces import FaceTable, joined, photo_faces
from faceprint.recognition.clustering.mapped_rows import new_rows
from faceprint.similarity import normalize
from faceprint.types import Array

__all__ = ["read_table"]

_QUALITY = ("size", "sharpness", "yaw", "value")
_COLUMNS = ("source", "face", "box", "score", "quality", "embedding", "embedder", "error")


def read_table(path: Path, scratch: Path | None = None) -> FaceTable:
    """The faces of an embedding table, each once; its failed files come along as `failed`.

    Columns (docs/bulk.md): source, face, box, score, landmarks, quality, embedding,
    embedder, error; of these box, score, quality and error may be missing. `quality` is a number
    (its value), a struct or JSON text with size, sharpness, yaw and value, or four numbers.

    Args:
        scratch: a folder for a file that the vectors are mapped from, instead of memory. Parquet
            is read a few thousand rows at a time; npz at once.

    Raises:
        SourceNotFoundError: no such file.
        InputError: not such a table; says what is wrong.
        ModelMismatchError: embeddings of several models.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"{path}: no such file")
    count, chunks = read_columns(path, _COLUMNS)
    vectors = _Store(count, scratch)
    parts, failed = [], []
    for columns in chunks:
        for name in ("source", "embedding"):
            if name not in columns:
                raise InputError(f"{path}: no column {name}; found {', '.join(columns) or 'none'}")
        part, lost = _faces(columns, path)
        failed += lost
        parts.append(replace(part, vectors=vectors.add(part.vectors, path)))
    try:
        table = joined(parts, vectors.all())
    except ModelMismatchError as error:
        raise ModelMismatchError(f"{path}: {error}") from error
    return replace(table, failed=tuple(failed))


class _Store:
    """All vectors, in one array from the start, so that they are there once."""

    def __init__(self, count: int, scratch: Path | None) -> None:
        self._count, self._scratch, self._filled = count, scratch, 0
        self._rows: Array | None = None

    def add(self, vectors: Array, path: Path) -> Array:
        """Append (n, d) rows of any length; their place in the whole comes back."""
        try:
            unit, _ = normalize(vectors)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
        if not len(unit):
            return unit
        if self._rows is None:
            self._rows = new_rows((self._count, unit.shape[1]), self._scratch)
        if unit.shape[1] != self._rows.shape[1]:
            raise InputError(f"{path}: embeddings of {self._rows.shape[1]} and {unit.shape[1]}")
        start, self._filled = self._filled, self._filled + len(unit)
        self._rows[start : self._filled] = unit
        return self._rows[start : self._filled]

    def all(self) -> Array:
        """What was added."""
        return np.empty((0, 0), np.float32) if self._rows is None else self._rows[: self._filled]


def _faces(columns: Columns, path: Path) -> tuple[FaceTable, list[tuple[str, str]]]:
    """The faces among some rows of a table, with vectors as they are, and the failed files."""
    found = columns["embedding"]
    sources = columns["source"]
    if not isinstance(found, Vectors):
        raise InputError(f"{path}: embedding is not a row of numbers a face")
    for name in ("source", "face", "error"):
        held = columns.get(name, [])
        if isinstance(held, Vectors) or (isinstance(held, np.ndarray) and held.ndim != 1):
            raise InputError(f"{path}: {name} is not one value a face")
    n = len(sources)
    if any(len(c) != n for c in columns.values() if isinstance(c, (list, Vectors)) or np.ndim(c)):
        raise InputError(f"{path}: columns of different lengths")
    errors = [_text(value) for value in columns.get("error", [None] * n)]
    failed = [(printable(str(sources[i])), errors[i]) for i in range(n) if errors[i]]
    # A photograph without a face is a row too: its `face` is null, or -1 in npz.
    numbers = columns.get("face", [0] * n)
    try:
        good = [
            i
            for i in range(n)
            if found.there[i] and not errors[i] and numbers[i] is not None and numbers[i] >= 0
        ]
        if not good:
            return photo_faces([], ""), failed
        models = _models(columns.get("embedder"), good)
        if len(models) > 1:
            raise ModelMismatchError(f"{path}: embeddings of {' and '.join(sorted(models))}")
        boxes = _matrix(columns.get("box"), good, 4)
        scores = np.nan_to_num(_matrix(columns.get("score"), good, 1)[:, 0])
        quality = _qualities(columns.get("quality"), good)
        vectors = found.rows[good]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        if isinstance(error, ModelMismatchError):
            raise
        raise InputError(f"{path}: a column holds something else than numbers: {error}") from error
    names = _shared(printable(str(sources[i])) for i in good)
    model = models.pop() if models else ""
    nothing = (None,) * len(good)
    return FaceTable(tuple(names), boxes, scores, quality, vectors, model, nothing), failed


def _shared(names: Iterable[str]) -> list[str]:
    """The same names; the faces of one photograph, which follow each other, share theirs."""
    out: list[str] = []
    for name in names:
        out.append(out[-1] if out and out[-1] == name else name)
    return out


def _models(column: Any, good: list[int]) -> set[str]:
    if column is None:
        return set()
    if not isinstance(column, list) and np.ndim(column) == 0:
        return {str(column)}
    return {str(column[i]) for i in good}


def _matrix(column: Any, good: list[int], width: int) -> Array:
    if column is None:
        return np.zeros((len(good), width), np.float32)
    if isinstance(column, Vectors):
        column = column.rows
    return np.stack([np.asarray(column[i], np.float32).reshape(width) for i in good])


def _qualities(column: Any, good: list[int]) -> Array:
    if column is None:
        return np.full((len(good), 4), np.nan, np.float32)
    if isinstance(column, Vectors):
        return column.rows[good].reshape(len(good), 4)
    return np.stack([_quality(column[i]) for i in good])


def _quality(value: Any) -> Array:
    if isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, Mapping):
        value = [np.nan if value.get(name) is None else value[name] for name in _QUALITY]
    if value is None:
        value = np.nan
    row = np.atleast_1d(np.asarray(value, np.float32))
    if row.shape == (1,):
        return np.array([np.nan, np.nan, np.nan, row[0]], np.float32)
    return row.reshape(4)


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
