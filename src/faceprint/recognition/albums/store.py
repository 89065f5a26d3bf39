"""The album file: photographs, faces, people and corrections, in SQLite."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceprint._files import read_start
from faceprint._sqlite import connect, sqlite_errors
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import (
    GalleryCorruptError,
    GalleryError,
    ModelMismatchError,
    SourceNotFoundError,
)
from faceprint.geometry import iou_matrix
from faceprint.recognition.albums import schema
from faceprint.recognition.albums.photographs import Content, Found, Photograph, shown
from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.recognition.gallery.records import now
from faceprint.types import Array

__all__ = ["AlbumFile", "Stored"]

_MAGIC = b"SQLite format 3\x00"
_MAX_DIM = 4096
"""Largest dimension of an embedding, as in the schema."""

_SAME_BOX, _SAME_FACE = 0.5, 0.95
"""IoU and cosine similarity from which a face of an edited photograph is the same as before."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """All faces of an album.

    Attributes:
        table: the faces; their photographs by the names that lead to them.
        keys: (n,) of the faces.
        people: (n,) ids of their people after the last run, -1 for unassigned.
        photos: (n,) keys of their photographs.
        missing: (n,) whether their photograph was not found.
    """

    table: EmbeddingTable
    keys: Ints
    people: Ints
    photos: Ints
    missing: NDArray[np.bool_]


class AlbumFile:
    """One SQLite file, treated as untrusted input; only its owner may read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            _create(path)
        with sqlite_errors(str(path)):
            _check_header(path)
            self._connection = connect(path)
            try:
                if schema.check_schema(self._connection, str(path)) < schema.VERSION:
                    schema.migrate(self._connection)
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
        """A transaction."""
        with sqlite_errors(str(self.path), "write"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def rows(self, sql: str, values: Iterable[object] = ()) -> list[tuple[object, ...]]:
        """The rows of a query."""
        with sqlite_errors(str(self.path)):
            return self._connection.execute(sql, tuple(values)).fetchall()

    def photographs(self) -> list[Photograph]:
        """Every photograph of the album."""
        found = self.rows("SELECT key, source, name, digest, size, modified, missing FROM photos")
        return [
            Photograph(key, source, name, Content(digest, size, modified), missing is not None)  # type: ignore[arg-type]
            for key, source, name, digest, size, modified, missing in found
        ]

    def put_photos(self, photos: Iterable[tuple[Found, EmbeddingTable, Photograph | None]]) -> None:
        """Add photographs in one transaction, including those without faces.

        Args:
            photos: each with its faces, and with the photograph that was at its path before: faces
                found again keep their person and corrections; its other faces become missing.

        Raises:
            ModelMismatchError: faces of another model than the album's.
        """
        with self.write() as connection:
            for found, faces, before in photos:
                self._check_model(connection, faces)
                kept = {} if before is None else _carried(connection, before.key, faces)
                _put(connection, found, faces, kept)
                if before is not None:
                    connection.execute(
                        "DELETE FROM photos WHERE key = ? AND NOT EXISTS "
                        "(SELECT 1 FROM faces WHERE photo = photos.key)",
                        (before.key,),
                    )
                    _mark(connection, [before.key])

    def update_photos(self, known: Mapping[int, Found], missing: Iterable[int]) -> None:
        """Store where photographs are now, and which were not found."""
        with self.write() as connection:
            connection.executemany(
                "UPDATE photos SET source = ?, name = ?, digest = ?, size = ?, modified = ?, "
                "missing = NULL WHERE key = ?",
                [
                    (f.source, f.name, f.content.digest, f.content.size, f.content.modified, key)
                    for key, f in known.items()
                ],
            )
            _mark(connection, missing)

    def stored(self) -> Stored:
        """Load every face.

        Raises:
            GalleryCorruptError: a face or the album's header is damaged.
        """
        heads = self.rows("SELECT embedder, dim FROM album")
        embedder, width = heads[0] if len(heads) == 1 else ("", -1)
        if not isinstance(width, int) or not 0 <= width <= _MAX_DIM:
            raise GalleryCorruptError(f"{self.path}: its header is damaged")
        rows = self.rows(
            "SELECT source, box, score, quality, vector, thumbnail, faces.key, person, photo, "
            "missing IS NOT NULL, name FROM faces JOIN photos ON photos.key = photo "
            "ORDER BY source, faces.key"
        )
        for row in rows:
            schema.check_face(row, width, self.path)
        n = len(rows)
        names = {row[8]: shown(str(row[0]), str(row[10])) for row in rows}
        table = EmbeddingTable(
            tuple(names[row[8]] for row in rows),
            _floats([row[1] for row in rows], n, 4),
            np.asarray([row[2] for row in rows], np.float32),
            _floats([row[3] for row in rows], n, 4),
            _floats([row[4] for row in rows], n, width),
            str(embedder),
            tuple(row[5] for row in rows),  # type: ignore[misc]
        )
        people = [-1 if row[7] is None else row[7] for row in rows]
        return Stored(
            table,
            np.asarray([row[6] for row in rows], np.int64),
            np.asarray(people, np.int64),
            np.asarray([row[8] for row in rows], np.int64),
            np.asarray([row[9] for row in rows], bool),
        )

    def scrub(self) -> None:
        """Rewrite the file, so that removed data leaves no trace."""
        with sqlite_errors(str(self.path)):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _check_model(self, connection: sqlite3.Connection, faces: EmbeddingTable) -> None:
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


def _put(
    connection: sqlite3.Connection, found: Found, faces: EmbeddingTable, kept: Mapping[int, int]
) -> None:
    """Insert a photograph; faces in `kept` (row -> key) move to it from another one."""
    content = found.content
    photo = connection.execute(
        "INSERT INTO photos (source, name, digest, size, modified) VALUES (?, ?, ?, ?, ?)",
        (found.source, found.name, content.digest, content.size, content.modified),
    ).lastrowid
    columns = zip(
        faces.boxes.astype("<f4"),
        faces.scores,
        faces.quality.astype("<f4"),
        faces.vectors.astype("<f4"),
        faces.thumbnails,
        strict=True,
    )
    connection.executemany(
        "INSERT INTO faces (key, photo, box, score, quality, vector, thumbnail) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET photo = excluded.photo, "
        "box = excluded.box, score = excluded.score, quality = excluded.quality, "
        "vector = excluded.vector, thumbnail = excluded.thumbnail",
        [
            (kept.get(row), photo, b.tobytes(), float(s), q.tobytes(), v.tobytes(), t)
            for row, (b, s, q, v, t) in enumerate(columns)
        ],
    )


def _mark(connection: sqlite3.Connection, missing: Iterable[int]) -> None:
    connection.executemany(
        "UPDATE photos SET missing = ? WHERE key = ? AND missing IS NULL",
        [(now(), key) for key in missing],
    )


def _carried(connection: sqlite3.Connection, photo: int, faces: EmbeddingTable) -> dict[int, int]:
    """Faces at the place of an earlier face that look the same: row -> key of that face."""
    rows = connection.execute(
        "SELECT key, box, vector FROM faces WHERE photo = ? ORDER BY key", (photo,)
    ).fetchall()
    if not rows or not len(faces) or len(rows[0][2]) != 4 * faces.vectors.shape[1]:
        return {}
    boxes = _floats([row[1] for row in rows], len(rows), 4)
    overlap = iou_matrix(faces.boxes, boxes)
    alike = faces.vectors @ _floats([row[2] for row in rows], len(rows), faces.vectors.shape[1]).T
    overlap[alike < _SAME_FACE] = 0
    kept: dict[int, int] = {}
    for place in np.argsort(-overlap, axis=None, kind="stable").tolist():
        row, old = divmod(place, len(rows))
        if overlap[row, old] < _SAME_BOX:
            break
        if row not in kept and rows[old][0] not in kept.values():
            kept[row] = rows[old][0]
    return kept


def _floats(blobs: list[object], n: int, width: int) -> Array:
    data = b"".join(blobs)  # type: ignore[arg-type]
    return np.frombuffer(data, "<f4").reshape(n, width).astype(np.float32)


def _create(path: Path) -> None:
    """Create an album under a temporary name and link it into place, so it is never incomplete."""
    if not path.parent.is_dir():
        raise SourceNotFoundError(f"{path.parent}: no such folder")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    try:
        with sqlite_errors(str(path)):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = connect(temporary)
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
        start = read_start(path, 100)
    except OSError as error:
        raise GalleryError(f"{path} can't be opened: {error.strerror}") from error
    application = int.from_bytes(start[68:72], "big")
    if start[:16] != _MAGIC or application != schema.APPLICATION_ID:
        raise GalleryCorruptError(f"{path} is not a faceprint album")
