"""The crop store: aligned crops on disk, found by the SHA-256 of their photographs.

A folder with four files. `store.json` says which models made it; `crops.u8` and `vectors.f32` hold
rows that are memory-mapped; `photos.jsonl` has one line per photograph, written after its rows.
What an interrupted run left beyond the last whole line is cut off when the store is opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint._files import atomic_write
from faceprint.errors import DatasetError
from faceprint.types import Array, Image

__all__ = ["SIZE", "CropStore", "StoredPhoto"]

SIZE = 112
"""Side of a crop in pixels."""

_FORMAT = 1
_CROP = SIZE * SIZE * 3


@dataclass(frozen=True, slots=True, eq=False)
class StoredPhoto:
    """What is stored of one photograph.

    Attributes:
        sha256: of the photograph's bytes.
        faces: how many faces were found; the store keeps the largest.
        reason: why there is no crop; empty when there is one.
        crop: (112, 112, 3) RGB uint8.
        vector: (dim,) unit embedding for cleaning; None in a store without.
    """

    sha256: bytes
    faces: int
    reason: str = ""
    crop: Image | None = None
    vector: Array | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    row: int | None
    faces: int
    reason: str


class CropStore:
    """A store, opened or newly made. Only one process may add to it at a time.

    Args:
        folder: of the store.
        made_by: the models and settings that the crops depend on; JSON values.
        dim: of the vectors; 0 for none.

    Attributes:
        count: number of crops.

    Raises:
        DatasetError: the folder can't be used, is damaged, or was made by other models.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any], dim: int) -> None:
        self.folder, self.dim = folder, dim
        self._lines: dict[bytes, _Line] = {}
        self.count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_header({"format": _FORMAT, "size": SIZE, "dim": dim, **made_by})
            for name in ("crops.u8", "vectors.f32", "photos.jsonl"):
                (folder / name).touch(mode=0o600)
            self._read_lines()
            self._cut()
        except OSError as error:
            raise DatasetError(f"{folder}: {error.strerror or error}") from error

    def _check_header(self, wanted: dict[str, Any]) -> None:
        path = self.folder / "store.json"
        if not path.exists():
            if any(not path.name.startswith(".") for path in self.folder.iterdir()):
                raise DatasetError(f"{self.folder} is neither empty nor a crop store")
            atomic_write(path, json.dumps(wanted, indent=2, sort_keys=True) + "\n")
            return
        try:
            found = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DatasetError(f"{path}: not a crop store ({error})") from error
        known = found if isinstance(found, dict) else {}
        differing = sorted(
            key
            for key in {*known, *wanted}
            if known.get(key) != json.loads(json.dumps(wanted)).get(key)
        )
        if differing:
            raise DatasetError(
                f"{self.folder}: made with other settings ({', '.join(differing)}); use another "
                "folder, or delete this one"
            )

    def _read_lines(self) -> None:
        path = self.folder / "photos.jsonl"
        whole = 0
        with path.open("rb") as file:
            for line in file:
                try:
                    item = json.loads(line)
                    entry = _Line(item["row"], item["faces"], item["reason"])
                    self._lines[bytes.fromhex(item["sha256"])] = entry
                except (ValueError, KeyError, TypeError) as error:
                    if line.endswith(b"\n"):
                        raise DatasetError(f"{path}: damaged ({error})") from error
                    break
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
        os.truncate(path, whole)

    def _cut(self) -> None:
        rows = sum(line.row is not None for line in self._lines.values())
        self.count = rows
        for name, size in (("crops.u8", _CROP), ("vectors.f32", 4 * self.dim)):
            path = self.folder / name
            if path.stat().st_size < rows * size:
                raise DatasetError(f"{path}: shorter than photos.jsonl says; delete the store")
            os.truncate(path, rows * size)

    def __contains__(self, sha256: bytes) -> bool:
        return sha256 in self._lines

    def row(self, sha256: bytes) -> int | None:
        """The row of a photograph's crop; None without a crop.

        Raises:
            KeyError: the photograph is not in the store.
        """
        return self._lines[sha256].row

    def reason(self, sha256: bytes) -> str:
        """Why a photograph has no crop; empty if it has one."""
        return self._lines[sha256].reason

    def faces(self, sha256: bytes) -> int:
        """How many faces were found in a photograph."""
        return self._lines[sha256].faces

    def add(self, photos: Iterable[StoredPhoto]) -> None:
        """Append photographs; all of them are durable when this returns.

        Raises:
            DatasetError: the disk refuses.
        """
        crops: list[bytes] = []
        vectors: list[bytes] = []
        lines: list[str] = []
        fresh: dict[bytes, _Line] = {}
        start = self.count
        for photo in photos:
            row = None
            if photo.crop is not None:
                row = start + len(crops)
                crops.append(np.ascontiguousarray(photo.crop, np.uint8).tobytes())
                vector = np.zeros(self.dim) if photo.vector is None else photo.vector
                vectors.append(np.asarray(vector, "<f4").tobytes())
            entry = fresh[photo.sha256] = _Line(row, photo.faces, photo.reason)
            line = {"sha256": photo.sha256.hex(), "row": row, "faces": entry.faces}
            lines.append(json.dumps(line | {"reason": entry.reason}) + "\n")
        try:
            self._append("crops.u8", crops)
            self._append("vectors.f32", vectors)
            self._append("photos.jsonl", [line.encode() for line in lines])
        except OSError as error:
            raise DatasetError(f"{self.folder}: {error.strerror or error}") from error
        self._lines |= fresh
        self.count = start + len(crops)

    def _append(self, name: str, parts: Sequence[bytes]) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(b"".join(parts))
            file.flush()
            os.fsync(file.fileno())

    def crops(self) -> NDArray[np.uint8]:
        """(count, 112, 112, 3) RGB, memory-mapped and read-only."""
        shape = (self.count, SIZE, SIZE, 3)
        if not self.count:
            return np.zeros(shape, np.uint8)
        return np.memmap(self.folder / "crops.u8", np.uint8, "r", shape=shape)

    def vectors(self) -> Array:
        """(count, dim) float32, memory-mapped and read-only."""
        if not self.count or not self.dim:
            return np.zeros((self.count, self.dim), np.float32)
        return np.memmap(self.folder / "vectors.f32", "<f4", "r", shape=(self.count, self.dim))
