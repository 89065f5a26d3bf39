"""Embeddings of other programs, as the records of an export; files may come from anybody.

Nothing in a file is executed: arrays of Python objects and pickles are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._files import read_bounded
from faceprint._text import printable
from faceprint.embedding_table.npz import read_npz
from faceprint.embedding_table.parquet import read_parquet
from faceprint.errors import DatasetError, UsageError
from faceprint.recognition.gallery.records import now
from faceprint.recognition.gallery.transfer_files import Record

__all__ = ["SUFFIXES", "read_embeddings"]

_NAMES = ("name", "names", "label", "labels", "subject", "subjects")
_VECTORS = ("embedding", "embeddings", "encoding", "encodings")
_MOST_BYTES = 256 << 20
_ROWS = 4096

_Named = tuple[object, object]
"""A name, and a vector of numbers or several of them."""


def read_embeddings(path: Path, dim: int) -> Generator[Record, None, None]:
    """The faces of a file, as records of an export.

    - `.json`: `{"ada": [numbers] or [[numbers], ...]}`, `[{"name": "ada", "encoding": [numbers]}]`,
      or `{"names": [...], "encodings": [...]}`.
    - `.npz`: arrays `names` and `embeddings`, or an array of each person.
    - `.npy`: an array (n, d), with n names in a text file of the same name, one per line.
    - `.parquet`: columns `name` and `embedding`.

    Args:
        dim: length of an embedding. They need not have unit length.

    Raises:
        DatasetError: not such a file, damaged, or embeddings of another length.
        UsageError: another suffix.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: embeddings of other programs end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DatasetError(f"{path} is not a file")
    number = 0
    try:
        for name, values in reader(path):
            vectors = np.asarray(values, np.float32)
            for vector in vectors[None] if vectors.ndim == 1 else vectors:
                number += 1
                yield _record(path, name, vector, dim)
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        if isinstance(error, (DatasetError, UsageError)):
            raise
        raise DatasetError(f"{path}, after {number} faces: {error}") from error


def _record(path: Path, name: object, vector: np.ndarray, dim: int) -> Record:
    if not isinstance(name, str):
        raise DatasetError(f"{path}: a name is {type(name).__name__}, not text")
    if vector.shape != (dim,):
        raise DatasetError(f"{path}: embeddings of shape {vector.shape}; the embedder's have {dim}")
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not 0 < length < np.finfo(np.float32).max:
        raise DatasetError(f"{path}: an embedding of {printable(name)} is zero or not finite")
    return {
        "subject": name,
        "metadata": "{}",
        # There is no photograph, so the embedding itself is what makes the face known.
        "content": hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest(),
        "source": printable(path.name),
        "norm": length,
        "created": now(),
        "vector": (vector / np.float32(length)).astype("<f4").tobytes(),
    }


def _json(path: Path) -> Iterator[_Named]:
    document = json.loads(read_bounded(path, _MOST_BYTES))
    if isinstance(document, list):
        for row in document:
            yield _one(row, _NAMES), _one(row, _VECTORS)
    elif isinstance(document, dict):
        yield from _columns(document)
    else:
        raise ValueError("neither a list nor an object")


def _npz(path: Path) -> Iterator[_Named]:
    yield from _columns(read_npz(path))


def _npy(path: Path) -> Iterator[_Named]:
    names = path.with_suffix(".txt")
    if not names.is_file():
        raise DatasetError(f"{path}: the names of its rows belong into {names}, one per line")
    texts = read_bounded(names, _MOST_BYTES).decode("utf-8").splitlines()
    yield from _pairs(texts, np.load(path, mmap_mode="r", allow_pickle=False))


def _parquet(path: Path) -> Iterator[_Named]:
    for _, columns in read_parquet(path, (*_NAMES, *_VECTORS), _ROWS):
        yield from _pairs(_one(columns, _NAMES), _one(columns, _VECTORS))


def _columns(found: Mapping[str, Any]) -> Iterator[_Named]:
    """Two columns of names and vectors; else the vectors of each person by name."""
    if "identity" in found:
        raise ValueError("a table of deepface's, which does not align faces as faceprint does")
    if any(name in found for name in _VECTORS):
        yield from _pairs(_one(found, _NAMES), _one(found, _VECTORS))
    else:
        yield from found.items()


def _pairs(names: Iterable[Any], vectors: Iterable[Any]) -> Iterator[_Named]:
    texts, rows = list(names), vectors if isinstance(vectors, np.ndarray) else list(vectors)
    if len(texts) != len(rows):
        raise ValueError(f"{len(texts)} names for {len(rows)} embeddings")
    for text, row in zip(texts, rows, strict=True):
        yield (str(text) if isinstance(text, np.str_) else text), row


def _one(columns: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(columns, Mapping):
        raise ValueError(f"a {type(columns).__name__} where a name and an embedding belong")
    found = [name for name in names if name in columns]
    if len(found) != 1:
        raise ValueError(f"{' and '.join(found) or 'none'} of {', '.join(names)}; one is needed")
    return columns[found[0]]


_READERS: dict[str, Callable[[Path], Iterator[_Named]]] = {
    ".json": _json,
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
}
SUFFIXES = tuple(_READERS)
