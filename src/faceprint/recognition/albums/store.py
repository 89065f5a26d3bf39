"""The album file: photographs, faces, people and corrections that later runs go on from."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceprint._files import file_of
from faceprint.errors import (
    GalleryCorruptError,
    GalleryError,
    ModelMismatchError,
    SourceNotFoundError,
)
from faceprint.recognition.albums import schema
from faceprint.recognition.albums.faces import FaceTable
from faceprint.recognition.albums.graph import Ints
from faceprint.recognition.gallery.records import now
from faceprint.recognition.gallery.sqlite_connect import configured, plain_errors
from faceprint.types import Array

__all__ = ["AlbumFile", "Stamp", "stamp"]

Stamp = tuple[int | None, int | None]
"""Size in bytes and time of the last change in nanoseconds; (None, None) of what is no file."""

_MAGIC = b"SQLite format 3\x00"
_LONGEST = 4096
"""Numbers of a vector, as the schema has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """All faces of an album: their keys, and whose each was after the last run (-1: nobody's)."""

    table: FaceTable
    keys: Ints
    people: Ints


class AlbumFile:
    """One SQLite file, opened as if a stranger had made it; readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            _create(path)
        with plain_errors(str(path)):
            _check_header(path)
            self._connection = configured(path)
            try:
                schema.check_schema(self._connection, str(path))
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> AlbumFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing."""
        with plain_errors(str(self.path)):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def rows(self, sql: str, values: Iterable[object] = ()) -> list[tuple[object, ...]]:
        """The rows of a query."""
        with plain_errors(str(self.path)):
            return self._connection.execute(sql, tuple(values)).fetchall()

    def photos(self) -> dict[str, Stamp]:
        """Every photograph that was taken in, with what its file was like then."""
        found = self.rows("SELECT source, size, modified FROM photos")
        return {str(source): (size, modified) for source, size, modified in found}  # type: ignore[misc]

    def put_photos(self, photos: Mapping[str, FaceTable]) -> None:
        """Take in photographs that are not there yet, those without faces too.

        Raises:
            ModelMismatchError: faces of another model than the album's.
        """
        with self.write() as connection:
            for source, faces in photos.items():
                self._check_model(connection, faces)
                sql = "INSERT INTO photos (source, size, modified) VALUES (?, ?, ?)"
                key = connection.execute(sql, (source, *stamp(source))).lastrowid
                columns = zip(
                    faces.boxes.astype("<f4"),
                    faces.scores,
                    faces.quality.astype("<f4"),
                    faces.vectors.astype("<f4"),
                    faces.thumbnails,
                    strict=True,
                )
                connection.executemany(
                    "INSERT INTO faces (photo, box, score, quality, vector, thumbnail) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    [(key, b.tobytes(), float(s), q.tobytes(), v.tobytes(), t)
                     for b, s, q, v, t in columns],
                )  # fmt: skip

    def stored(self) -> Stored:
        """Every face.

        Raises:
            GalleryCorruptError: a vector that is not the album's.
        """
        heads = self.rows("SELECT embedder, dim FROM album")
        embedder, width = heads[0] if len(heads) == 1 else ("", -1)
        if not isinstance(width, int) or not 0 <= width <= _LONGEST:
            raise GalleryCorruptError(f"{self.path}: its head is damaged")
        rows = self.rows(
            "SELECT source, box, score, quality, vector, thumbnail, faces.key, person FROM faces "
            "JOIN photos ON photos.key = photo ORDER BY source, faces.key"
        )
        for row in rows:
            _check_face(row, width, self.path)
        n = len(rows)
        table = FaceTable(
            tuple(str(row[0]) for row in rows),
            _floats([row[1] for row in rows], n, 4),
            np.asarray([row[2] for row in rows], np.float32),
            _floats([row[3] for row in rows], n, 4),
            _floats([row[4] for row in rows], n, width),
            str(embedder),
            tuple(row[5] for row in rows),  # type: ignore[misc]
        )
        people = [-1 if row[7] is None else row[7] for row in rows]
        return Stored(
            table, np.asarray([row[6] for row in rows], np.int64), np.asarray(people, np.int64)
        )

    def scrub(self) -> None:
        """Write the file anew, so that nothing of what was removed is left in it."""
        with plain_errors(str(self.path)):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _check_model(self, connection: sqlite3.Connection, faces: FaceTable) -> None:
        if not len(faces):
            return
        embedder, dim = connection.execute("SELECT embedder, dim FROM album").fetchone()
        if not embedder:
            sql = "UPDATE album SET embedder = ?, dim = ?"
            connection.execute(sql, (faces.embedder, faces.vectors.shape[1]))
        elif (embedder, dim) != (faces.embedder, faces.vectors.shape[1]):
            raise ModelMismatchError(
                f"{self.path} holds faces of {embedder}, not of {faces.embedder}; start a new album"
            )


def _check_face(row: Sequence[object], width: int, path: Path) -> None:
    """Refuse a face that SQLite's own checks would not have let in, and what nobody can count."""
    for name, column, length in (("box", 1, 4), ("quality", 3, 4), ("vector", 4, width)):
        value = row[column]
        if not isinstance(value, bytes) or len(value) != 4 * length:
            raise GalleryCorruptError(f"{path}: a {name} that is not {length} numbers long")
    picture, key, person = row[5:8]
    whole = isinstance(key, int) and isinstance(person, int | None)
    if not whole or not isinstance(row[2], int | float) or not isinstance(picture, bytes | None):
        raise GalleryCorruptError(f"{path}: a face whose score, picture or person is damaged")


def stamp(source: str) -> Stamp:
    """Size and time of change of a file, to see whether it is still the same."""
    try:
        status = file_of(source).stat()
    except (OSError, ValueError):
        return None, None
    return status.st_size, status.st_mtime_ns


def _floats(blobs: list[object], n: int, width: int) -> Array:
    data = b"".join(blobs)  # type: ignore[arg-type]
    return np.frombuffer(data, "<f4").reshape(n, width).astype(np.float32)


def _create(path: Path) -> None:
    """Laid out under a temporary name and linked into place: nobody sees half an album."""
    if not path.parent.is_dir():
        raise SourceNotFoundError(f"{path.parent}: no such folder")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    try:
        with plain_errors(str(path)):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = configured(temporary)
            try:
                connection.execute("BEGIN IMMEDIATE")
                schema.create(connection)
                connection.execute("INSERT INTO album VALUES (1, '', 0, 1, ?)", (now(),))
                connection.execute("COMMIT")
            finally:
                connection.close()
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as error:
        raise GalleryError(f"{path} can't be made: {error.strerror}") from error
    finally:
        for suffix in ("", "-journal"):
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(100)
    except OSError as error:
        raise GalleryError(f"{path} can't be opened: {error.strerror}") from error
    application = int.from_bytes(start[68:72], "big")
    if start[:16] != _MAGIC or application != schema.APPLICATION_ID:
        raise GalleryCorruptError(f"{path} is not a faceprint album")
