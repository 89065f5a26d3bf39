"""The embeddings of a folder of photographs, in a table that follows the folder's content."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint._files import is_gone
from faceprint.embedding_table.reader import read_groups, read_metadata
from faceprint.embedding_table.schema import Columns
from faceprint.embedding_table.writer import TableSize, write_table
from faceprint.errors import FaceprintError, InputError, SourceNotFoundError, UsageError
from faceprint.types import Array
from faceprint.vision.sources import find_images

__all__ = ["FolderFaces", "folder_faces"]

_LOG = logging.getLogger("faceprint.compat.deepface")
_SUFFIXES = (".jpg", ".jpeg", ".png")

Embed = Callable[[str], tuple[Array, Array]]
"""From a path to (n, d) embeddings and (n, 4) boxes x, y, w, h."""


@dataclass(frozen=True, slots=True, eq=False)
class FolderFaces:
    """The faces of a folder.

    Attributes:
        identities: the path of each face's photograph, below the folder as it was named.
        hashes: the sha256 of each face's photograph.
        boxes: (n, 4) int64 x, y, w, h.
        embeddings: (n, d) float32.
    """

    identities: list[str]
    hashes: list[str]
    boxes: NDArray[np.int64]
    embeddings: Array


def folder_faces(
    folder: str, name: str, about: dict[str, Any], embed: Embed, *, dim: int, refresh: bool = True
) -> FolderFaces:
    """The faces of the JPEG and PNG files in and below a folder.

    The table lies beside the folder as `FOLDER.NAME.npz`. Photographs are known by their content:
    new and changed ones are embedded, and those that are gone are left out. One that can't be used,
    or shows no face, is noted in the log.

    Args:
        about: the models and options; a table with others is written anew.
        refresh: False takes the table as it is.

    Raises:
        SourceNotFoundError: no such folder.
        UsageError: the folder holds no photograph, or the table can't be written.
    """
    place = Path(folder)
    if not place.is_dir():
        raise SourceNotFoundError(f"{folder}: no such folder")
    resolved = place.resolve()
    path = resolved.parent / f"{resolved.name}.{name}.npz"
    known = _read(path, about)
    files = dict(known)
    if refresh or not known:
        present = {
            Path(photo).relative_to(place).as_posix(): _digest(photo)
            for photo in find_images(folder)
            if photo.lower().endswith(_SUFFIXES)
        }
        if not present:
            raise UsageError(f"{folder} holds no photograph")
        files = {}
        for below, digest in present.items():
            rows = known.get((below, digest))
            files[(below, digest)] = _embedded(place / below, embed, dim) if rows is None else rows
        if files.keys() != known.keys():
            _write(path, about, files, dim)
    kept = [(below, digest, rows) for (below, digest), rows in files.items() if len(rows[0])]
    vectors, boxes = _joined([rows for _, _, rows in kept], dim)
    repeated = [(str(place / below), digest) for below, digest, rows in kept for _ in rows[0]]
    return FolderFaces(
        [identity for identity, _ in repeated],
        [digest for _, digest in repeated],
        np.asarray(boxes, np.int64),
        vectors,
    )


_Rows = tuple[Array, Array]
_Files = dict[tuple[str, str], _Rows]
"""Embeddings and boxes by path below the folder and sha256."""


def _embedded(photo: Path, embed: Embed, dim: int) -> _Rows:
    try:
        return embed(str(photo))
    except InputError as error:
        _LOG.warning("%s", error)
        return _joined([], dim)


def _joined(rows: Sequence[_Rows], dim: int) -> _Rows:
    vectors = [np.empty((0, dim), np.float32), *(each[0] for each in rows)]
    boxes = [np.empty((0, 4), np.float32), *(each[1] for each in rows)]
    return np.concatenate(vectors), np.concatenate(boxes)


def _digest(photo: str) -> str:
    try:
        with Path(photo).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{photo}: can't be read: {error.strerror or error}") from error


def _read(path: Path, about: dict[str, Any]) -> _Files:
    """The content of a table with the same models and options; empty for any other file."""
    if is_gone(path):
        return {}
    metadata = read_metadata(path)
    if metadata is None or metadata.get("deepface") != about:
        return {}
    try:
        files = dict(metadata["files"])
        found: dict[str, list[_Rows]] = {below: [] for below in files}
        for columns in read_groups(path):
            for row in np.flatnonzero(columns["face"] >= 0):
                rows = columns["embedding"][row : row + 1], columns["box"][row : row + 1]
                found[columns["source"][row]].append(rows)
    except (FaceprintError, KeyError, TypeError, ValueError) as error:
        _LOG.warning("%s is written anew: %s", path, error)
        return {}
    dim = int(about["dim"])
    return {(below, files[below]): _joined(rows, dim) for below, rows in found.items()}


def _write(path: Path, about: dict[str, Any], files: _Files, dim: int) -> None:
    metadata = {
        "deepface": about,
        "embedder": about["card"],
        "files": dict(list(files)),
    }
    columns = _columns(files, dim, str(about["card"]))
    longest = max((len(below) for below, _ in files), default=1)
    size = TableSize(len(columns["source"]), dim, longest, 1)

    def groups(names: tuple[str, ...]) -> Iterator[Columns]:
        yield {name: columns[name] for name in names}

    try:
        write_table(path, size, metadata, groups)
    except OSError as error:
        raise UsageError(f"{path}: can't be written: {error.strerror or error}") from error


def _columns(files: _Files, dim: int, card: str) -> Columns:
    vectors, boxes = _joined(list(files.values()), dim)
    n = len(vectors)
    faces = [index for rows in files.values() for index in range(len(rows[0]))]
    nothing = np.full(n, None, object)
    return {
        "source": np.array([b for (b, _), rows in files.items() for _ in rows[0]], object),
        "face": np.asarray(faces, np.int32),
        "box": boxes.astype(np.float32),
        "score": np.full(n, np.nan, np.float32),
        "landmarks": np.full((n, 5, 2), np.nan, np.float32),
        "quality": np.full((n, 4), np.nan, np.float32),
        "embedding": vectors,
        "embedder": np.full(n, card, object),
        "error": nothing,
        "duplicate_of": nothing,
    }
