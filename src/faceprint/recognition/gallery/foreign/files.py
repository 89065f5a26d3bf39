"""Files of embeddings by other programs; they may come from anybody.

Nothing in a file is executed: arrays of Python objects are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._files import read_bounded
from faceprint.embedding_table.npz import read_npz
from faceprint.embedding_table.parquet import read_parquet
from faceprint.errors import DatasetError, UsageError
from faceprint.recognition.gallery.foreign.faces import ForeignFace

__all__ = ["SUFFIXES", "read_file"]

_NAMES = ("name", "names", "label", "labels", "subject", "subjects")
_VECTORS = ("embedding", "embeddings", "encoding", "encodings")
_MOST_BYTES = 256 << 20
_ROWS = 4096

_Faces = Iterator[ForeignFace]


def read_file(path: Path) -> Iterator[ForeignFace]:
    """The faces of a file.

    - `.json`: `{"ada": [numbers] or [[numbers], ...]}`, `[{"name": "ada", "encoding": [numbers]}]`,
      or `{"names": [...], "encodings": [...]}`.
    - `.npz`: arrays `names` and `embeddings`, or an array of each person.
    - `.npy`: an array (n, d), with n names in a text file of the same name, one per line.
    - `.parquet`: columns `name` and `embedding`.

    Raises:
        DatasetError: not a file.
        OSError, ValueError, TypeError, LookupError: not such a file, or damaged.
        UsageError: another suffix.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path}: embeddings of other programs end in {', '.join(SUFFIXES)} or "
            ".pkl, a dump of a database in .sql or .sql.gz"
        )
    if not path.is_file():
        raise DatasetError(f"{path} is not a file")
    return reader(path)


def _json(path: Path) -> _Faces:
    document = json.loads(read_bounded(path, _MOST_BYTES))
    if isinstance(document, list):
        for row in document:
            yield ForeignFace(_one(row, _NAMES), _one(row, _VECTORS))
    elif isinstance(document, dict):
        yield from _columns(document)
    else:
        raise ValueError("neither a list nor an object")


def _npz(path: Path) -> _Faces:
    yield from _columns(read_npz(path))


def _npy(path: Path) -> _Faces:
    names = path.with_suffix(".txt")
    if not names.is_file():
        raise DatasetError(f"{path}: the names of its rows belong into {names}, one per line")
    texts = read_bounded(names, _MOST_BYTES).decode("utf-8").splitlines()
    yield from _pairs(texts, np.load(path, mmap_mode="r", allow_pickle=False))


def _parquet(path: Path) -> _Faces:
    for _, columns in read_parquet(path, (*_NAMES, *_VECTORS), _ROWS):
        yield from _pairs(_one(columns, _NAMES), _one(columns, _VECTORS))


def _columns(found: Mapping[str, Any]) -> _Faces:
    """Two columns of names and vectors; else the vectors of each person by name."""
    if "identity" in found:
        raise ValueError(
            "a table of deepface's; import its .pkl instead, or enroll the photographs"
        )
    if any(name in found for name in _VECTORS):
        yield from _pairs(_one(found, _NAMES), _one(found, _VECTORS))
    else:
        for name, vectors in found.items():
            yield ForeignFace(name, vectors)


def _pairs(names: Iterable[Any], vectors: Iterable[Any]) -> _Faces:
    texts, rows = list(names), vectors if isinstance(vectors, np.ndarray) else list(vectors)
    if len(texts) != len(rows):
        raise ValueError(f"{len(texts)} names for {len(rows)} embeddings")
    for text, row in zip(texts, rows, strict=True):
        yield ForeignFace(str(text) if isinstance(text, np.str_) else text, row)


def _one(columns: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(columns, Mapping):
        raise ValueError(f"a {type(columns).__name__} where a name and an embedding belong")
    found = [name for name in names if name in columns]
    if len(found) != 1:
        raise ValueError(f"{' and '.join(found) or 'none'} of {', '.join(names)}; one is needed")
    return columns[found[0]]


_READERS: dict[str, Callable[[Path], _Faces]] = {
    ".json": _json,
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
}
SUFFIXES = tuple(_READERS)
