"""Caches the results of pictures in SQLite, so that a second run does not compute them again.

Keys are hashes: of everything that determines the value (`cache_key`), and of the picture's bytes.
An interrupted run loses at most its last batch. Nothing is pickled. A damaged or foreign file is
deleted and created again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from faceprint._text import printable
from faceprint.errors import DatasetError
from faceprint.types import Array

__all__ = ["FileHashes", "RowCache", "cache_key", "clear", "forget", "held"]

_SCHEMA = 1
_CHUNK = 500
"""Keys per query; old versions of SQLite allow 999."""

_FRESH_NS = 2_000_000_000
"""With a coarse clock, a file changed so recently may change again with the same time stamp."""


def cache_key(facts: Mapping[str, object]) -> str:
    """Hex sha256 of JSON values, independent of their order."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class RowCache:
    """float32 rows by (key, sha256 of the picture); an empty row stands for "nothing found".

    Raises:
        DatasetError: the folder cannot be written, or the file is locked for a minute.
    """

    def __init__(self, path: Path, key: str, width: int) -> None:
        self._key, self._width = key, width
        self._connection = _open(path, "rows(key TEXT, sha256 BLOB, value BLOB")

    def get(self, hashes: Iterable[bytes]) -> dict[bytes, Array]:
        """The known rows: hash to (width,) or (0,) float32."""
        found: dict[bytes, Array] = {}
        for part in _parts(list(dict.fromkeys(hashes))):
            marks = ",".join("?" * len(part))
            with _speaking():
                rows = self._connection.execute(
                    f"SELECT sha256, value FROM rows WHERE key = ? AND sha256 IN ({marks})",
                    (self._key, *part),
                ).fetchall()
            for sha256, value in rows:
                if len(value) in (0, 4 * self._width):
                    found[sha256] = np.frombuffer(value, "<f4")
        return found

    def put(self, rows: Mapping[bytes, Array]) -> None:
        """Store rows, all or none."""
        values = [(self._key, h, row.astype("<f4").tobytes()) for h, row in rows.items()]
        with _speaking(), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", values)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class FileHashes:
    """sha256 of files, cached while path, size and modification time are the same."""

    def __init__(self, path: Path) -> None:
        self._connection = _open(
            path, "files(path TEXT, size INTEGER, mtime_ns INTEGER, sha256 BLOB"
        )

    def of(self, paths: Sequence[Path]) -> list[bytes]:
        """The digest of each file; empty without permission to read it.

        Raises:
            DatasetError: a file is gone or damaged.
        """
        known = self._known()
        fresh: list[tuple[str | bytes, int, int, bytes]] = []
        digests = []
        now = time.time_ns()
        for path in paths:
            name = _name(path)
            try:
                stat = path.stat()
                digest = known.get((name, stat.st_size, stat.st_mtime_ns))
                if digest is None:
                    digest = hashlib.sha256(path.read_bytes()).digest()
                    if now - stat.st_mtime_ns > _FRESH_NS:
                        fresh.append((name, stat.st_size, stat.st_mtime_ns, digest))
            except PermissionError:
                digest = b""  # a picture that fails, as a damaged one does
            except OSError as error:
                raise DatasetError(f"{path}: {error.strerror or error}") from error
            digests.append(digest)
        if fresh:
            with _speaking(), self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", fresh
                )
        return digests

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _known(self) -> dict[tuple[str | bytes, int, int], bytes]:
        with _speaking():
            rows = self._connection.execute("SELECT path, size, mtime_ns, sha256 FROM files")
            return {(path, size, mtime): sha256 for path, size, mtime, sha256 in rows}


def forget(folder: Path, hashes: Collection[bytes]) -> int:
    """Remove the rows of these pictures, overwrite their bytes, and return their number.

    Args:
        folder: of the cache (`embed_pictures`).
        hashes: sha256 of the pictures' bytes.

    Raises:
        DatasetError: a cache cannot be used.
    """
    count = 0
    for path in _databases(folder) if hashes else ():
        table = "files" if path.name.startswith("hashes") else "rows"
        with _speaking(path), closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            gone = 0
            for part in _parts(list(hashes)):
                marks = ",".join("?" * len(part))
                sql = f"DELETE FROM {table} WHERE sha256 IN ({marks})"
                gone += connection.execute(sql, part).rowcount
            connection.commit()
            if gone:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            count += gone
    return count


def held(folder: Path) -> list[tuple[Path, int, int]]:
    """The files of the cache with their numbers of rows and bytes."""
    found = []
    for path in _databases(folder):
        table = "files" if path.name.startswith("hashes") else "rows"
        with _speaking(path), closing(sqlite3.connect(path, timeout=60)) as connection:
            (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        found.append((path, int(rows), path.stat().st_size))
    return found


def clear(folder: Path) -> int:
    """Remove the cache, and return the number of files."""
    count = 0
    with _speaking(folder):
        for path in folder.glob("*.sqlite*"):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _databases(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.sqlite") if path.is_file())


def _name(path: Path) -> str | bytes:
    """The path as SQLite can store it: as bytes if it is not UTF-8."""
    name = str(path.absolute())
    return name if printable(name) == name else os.fsencode(name)


def _open(path: Path, table: str) -> sqlite3.Connection:
    primary = "path" if table.startswith("files") else "key, sha256"
    create = f"CREATE TABLE IF NOT EXISTS {table}, PRIMARY KEY ({primary})) WITHOUT ROWID"
    with _speaking(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in (1, 2):
            _make_private(path)
            connection = sqlite3.connect(path, timeout=60)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, _SCHEMA):
                    raise sqlite3.DatabaseError("of another version")
                connection.execute(create)
                connection.execute(f"PRAGMA user_version = {_SCHEMA}")
                connection.commit()
                return connection
            except sqlite3.OperationalError:
                connection.close()
                raise
            except sqlite3.DatabaseError:
                connection.close()
                if attempt == 2:
                    raise
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
    raise AssertionError("unreachable")


def _make_private(path: Path) -> None:
    """Let only the owner read the file; SQLite creates its other files with the same mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists() and file.stat().st_mode & 0o077:
            file.chmod(0o600)


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]


@contextlib.contextmanager
def _speaking(path: Path | None = None) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        where = "" if path is None else f" {path}"
        raise DatasetError(
            f"the cache of embeddings{where} cannot be used ({error}); it may be deleted, or "
            "FACEPRINT_HOME set to a folder that can be written"
        ) from error
