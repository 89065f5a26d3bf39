"""Reading an embedding table: Parquet or npz, a row a face."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._optional import require
from faceprint.errors import InputError, ModelMismatchError, SourceNotFoundError
from faceprint.recognition.albums.faces import FaceTable, photo_faces
from faceprint.similarity import normalize
from faceprint.types import Array

__all__ = ["read_table"]

_QUALITY = ("size", "sharpness", "yaw", "value")


def read_table(path: Path) -> FaceTable:
    """The faces of an embedding table, each once; its failed files come along as `failed`.

    Columns as CONTRACT.md has them: source, face, box, score, landmarks, quality, embedding,
    embedder, error; of these box, score, quality and error may be missing. `quality` is a number
    (its value), a struct or JSON text with size, sharpness, yaw and value, or four numbers.

    Raises:
        SourceNotFoundError: no such file.
        InputError: not such a table; says what is wrong.
        ModelMismatchError: embeddings of several models.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"{path}: no such file")
    columns = _npz(path) if path.suffix.lower() == ".npz" else _parquet(path)
    for name in ("source", "embedding"):
        if name not in columns:
            raise InputError(f"{path}: no column {name}; found {', '.join(columns) or 'none'}")
    n = len(columns["source"])
    if any(len(c) != n for c in columns.values() if isinstance(c, list) or np.ndim(c)):
        raise InputError(f"{path}: columns of different lengths")
    errors = columns.get("error", [None] * n)
    # A photograph without a face is a row too: its `face` is null, or -1 in npz.
    numbers = columns.get("face", [0] * n)
    nobody = {i for i in range(n) if numbers[i] is None or numbers[i] < 0}
    good = [
        i
        for i in range(n)
        if i not in nobody and columns["embedding"][i] is not None and not _text(errors[i])
    ]
    failed = tuple(
        (str(columns["source"][i]), _text(errors[i])) for i in range(n) if _text(errors[i])
    )
    if not good:
        return replace(photo_faces([], ""), failed=failed)
    models = _models(columns.get("embedder"), good)
    if len(models) > 1:
        raise ModelMismatchError(f"{path}: embeddings of {' and '.join(sorted(models))}")
    try:
        vectors, _ = normalize(np.stack([_row(columns["embedding"][i]) for i in good]))
        boxes = _matrix(columns.get("box"), good, 4)
        scores = _matrix(columns.get("score"), good, 1)[:, 0]
        quality = np.stack([_quality(columns["quality"][i]) for i in good]) if (
            "quality" in columns
        ) else np.full((len(good), 4), np.nan, np.float32)  # fmt: skip
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: a column holds something else than numbers: {error}") from error
    sources = tuple(str(columns["source"][i]) for i in good)
    return FaceTable(
        sources,
        boxes,
        np.nan_to_num(scores),
        quality,
        vectors,
        models.pop() if models else "",
        (None,) * len(good),
        failed,
    )


def _npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not an npz table: {error}") from error


def _parquet(path: Path) -> dict[str, Any]:
    module = require("pyarrow.parquet", extra="bulk")
    try:
        table = module.read_table(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a Parquet table: {error}") from error
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _models(column: Any, good: list[int]) -> set[str]:
    if column is None:
        return set()
    if not isinstance(column, list) and np.ndim(column) == 0:
        return {str(column)}
    return {str(column[i]) for i in good}


def _row(value: Any) -> Array:
    return np.asarray(value, np.float32)


def _matrix(column: Any, good: list[int], width: int) -> Array:
    if column is None:
        return np.zeros((len(good), width), np.float32)
    return np.stack([np.asarray(column[i], np.float32).reshape(width) for i in good])


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
