"""The people of an album as a table, one row per face, for albums too large for a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from faceprint._files import atomic_write
from faceprint._optional import require
from faceprint.errors import InputError
from faceprint.recognition.albums.people import Album, AlbumFace

__all__ = ["check_name", "is_table", "write_people"]

_ROWS = 1 << 16
_SUFFIXES = (".parquet", ".npz")

_Row = tuple[AlbumFace, int, str]
"""A face, its person's id (0: unassigned) and name."""


def is_table(path: Path) -> bool:
    """Whether the path names a table, not a folder."""
    return path.suffix.lower() in _SUFFIXES


def check_name(path: Path) -> None:
    """Refuse a path that `write_people` would refuse later.

    Raises:
        InputError: its folder does not exist, or it is a folder itself.
        MissingExtraError: .parquet without the extra `bulk`.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path} can't be written: {path.parent} is not a folder")
    if path.is_dir():
        raise InputError(f"{path} can't be written: it is a folder, not a table")
    if path.suffix.lower() == ".parquet":
        require("pyarrow.parquet", extra="bulk")


def write_people(album: Album, path: Path) -> None:
    """Write source, box, score, person, name, similarity and reason of every face.

    The most photographed person comes first, unassigned faces last; their `person` is null (npz:
    0). `similarity` is the mean to the person's other faces, null (NaN) if there are none. The file
    is replaced as a whole, and only its owner may read it.

    Raises:
        InputError: it can't be written.
    """
    write = _parquet if path.suffix.lower() == ".parquet" else _npz
    try:
        atomic_write(path, lambda file: write(album, file), private=True)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error}") from error


def _rows(album: Album) -> Iterator[_Row]:
    for person in album.people:
        yield from ((face, person.id, person.name) for face in person.faces)
    yield from ((face, 0, "") for face in album.unassigned)


def _columns(rows: list[_Row]) -> dict[str, Any]:
    similarity = [np.nan if face.similarity is None else face.similarity for face, _, _ in rows]
    return {
        "source": [face.source for face, _, _ in rows],
        "box": np.asarray([face.box for face, _, _ in rows], np.float32).reshape(-1, 4),
        "score": np.asarray([face.score for face, _, _ in rows], np.float32),
        "person": np.asarray([number for _, number, _ in rows], np.int64),
        "name": [name for _, _, name in rows],
        "similarity": np.asarray(similarity, np.float32),
        "reason": [face.reason for face, _, _ in rows],
    }


def _npz(album: Album, file: IO[bytes]) -> None:
    columns: dict[str, Any] = _columns(list(_rows(album)))
    np.savez(file, allow_pickle=False, **columns)


def _parquet(album: Album, file: IO[bytes]) -> None:
    pa, pq = require("pyarrow", extra="bulk"), require("pyarrow.parquet", extra="bulk")
    text, real = pa.string(), pa.float32()
    schema = pa.schema(
        [
            ("source", text),
            ("box", pa.list_(real, 4)),
            ("score", real),
            ("person", pa.int64()),
            ("name", text),
            ("similarity", real),
            ("reason", text),
        ]
    )
    rows = _rows(album)
    with pq.ParquetWriter(file, schema) as writer:
        while some := list(islice(rows, _ROWS)):
            columns = _columns(some)
            box, person = columns["box"], columns["person"]
            columns["box"] = pa.FixedSizeListArray.from_arrays(pa.array(box.reshape(-1)), 4)
            columns["person"] = pa.array(person, mask=person == 0)
            similarity = columns["similarity"]
            columns["similarity"] = pa.array(similarity, mask=np.isnan(similarity))
            for name in ("name", "reason"):
                columns[name] = [value or None for value in columns[name]]
            writer.write_table(pa.table(columns, schema=schema))
