"""Faces as a struct of arrays, and the part files that hold them: written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from faceprint._columns import read_npz
from faceprint._files import atomic_write
from faceprint.errors import DatasetError
from faceprint.types import Array, Face, Quality

__all__ = ["FIELDS", "Rows", "concatenate", "read_column", "rows_of", "write_part"]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n faces.

    Attributes:
        face: (n,) int32, its number in its photograph, the largest is 0.
        box: (n, 4) float32 x1 y1 x2 y2 in pixels. score: (n,) float32, 0..1.
        landmarks: (n, 5, 2) float32 pixels, NaN where the detector gives none.
        quality: (n, 4) float32 size, sharpness, yaw, value; NaN where not known.
        embedding: (n, d) float32 unit rows.
    """

    face: NDArray[np.int32]
    box: Array
    score: Array
    landmarks: Array
    quality: Array
    embedding: Array

    def __len__(self) -> int:
        return len(self.face)


FIELDS = tuple(field.name for field in fields(Rows))


def rows_of(faces: Sequence[Face]) -> Rows:
    """The faces of one photograph, in their order."""
    nowhere = np.full((5, 2), np.nan, np.float32)
    points = [nowhere if face.landmarks is None else face.landmarks for face in faces]
    vectors = [face.embedding.vector for face in faces if face.embedding is not None]
    return Rows(
        np.arange(len(faces), dtype=np.int32),
        np.asarray([face.box for face in faces], np.float32).reshape(-1, 4),
        np.asarray([face.score for face in faces], np.float32),
        np.asarray(points, np.float32).reshape(-1, 5, 2),
        np.asarray([_quality(face.quality) for face in faces], np.float32).reshape(-1, 4),
        np.asarray(vectors, np.float32).reshape(len(faces), -1),
    )


def concatenate(parts: Sequence[Rows], dim: int) -> Rows:
    """One after another; `dim` is the embedding's length where there are none."""
    empty = Rows(
        np.empty(0, np.int32),
        np.empty((0, 4), np.float32),
        np.empty(0, np.float32),
        np.empty((0, 5, 2), np.float32),
        np.empty((0, 4), np.float32),
        np.empty((0, dim), np.float32),
    )
    return Rows(
        *(np.concatenate([getattr(part, name) for part in (empty, *parts)]) for name in FIELDS)
    )


def write_part(path: Path, rows: Rows) -> None:
    """Write a part file: it is there and durable when this returns, or not there at all."""

    def fill(file: IO[bytes]) -> None:
        np.savez(file, **{name: getattr(rows, name) for name in FIELDS})

    atomic_write(path, fill, private=True)


def read_column(path: Path, name: str) -> Array:
    """One column of a part file.

    Raises:
        DatasetError: the file is gone or damaged.
    """
    try:
        return read_npz(path, (name,))[name]
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{path}: damaged or gone ({error}); --overwrite starts anew") from error


def _quality(quality: Quality | None) -> tuple[float, float, float, float]:
    if quality is None:
        return (np.nan,) * 4
    yaw = np.nan if quality.yaw is None else quality.yaw
    return quality.size, quality.sharpness, yaw, quality.value
