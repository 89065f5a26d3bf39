"""What a table of embeddings holds: its columns, and its faces as a struct of arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import ModelMismatchError, UsageError
from faceprint.types import Array, Embedding, Face, Quality

__all__ = ["COLUMNS", "QUALITY", "TEXTS", "Columns", "EmbeddingTable", "conform"]

COLUMNS = (
    "source", "face", "box", "score", "landmarks", "quality", "embedding", "embedder", "error",
    "duplicate_of",
)  # fmt: skip
"""In this order; `docs/bulk.md` says what each holds."""

TEXTS = ("source", "embedder", "error", "duplicate_of")
QUALITY = ("size", "sharpness", "yaw", "value")

Columns = dict[str, NDArray[Any]]
"""Rows of a table as arrays by column name. A row is a face, a photograph without one, or a
photograph that failed. `face` is int32, -1 where there is none; `box` (n, 4), `score` (n,),
`landmarks` (n, 5, 2), `quality` (n, 4) and `embedding` (n, d) are float32, NaN where there is
nothing; texts are objects, None where there is none."""

_SHAPES: dict[str, tuple[int, ...]] = {
    "box": (4,), "score": (), "landmarks": (5, 2), "quality": (4,),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingTable:
    """n faces of one model.

    Attributes:
        sources: the photograph of each face, as it was named.
        boxes: (n, 4) float32 x1 y1 x2 y2 in pixels. scores: (n,) of the detector, 0..1.
        quality: (n, 4) size, sharpness, yaw, value; NaN where unknown.
        vectors: (n, d) float32 unit rows.
        thumbnails: a JPEG of each face, None where there is none.
        failed: photographs that could not be used, with the reason.
        landmarks: (n, 5, 2) float32 pixels, NaN where the detector gave none; None where they
            were not read.
    """

    sources: tuple[str, ...]
    boxes: Array
    scores: Array
    quality: Array
    vectors: Array
    embedder: str
    thumbnails: tuple[bytes | None, ...]
    failed: tuple[tuple[str, str], ...] = ()
    landmarks: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.sources)
        shapes = (self.boxes.shape, self.scores.shape, self.quality.shape)
        if shapes != ((n, 4), (n,), (n, 4)) or len(self.vectors) != n or len(self.thumbnails) != n:
            raise UsageError(f"a table of {n} faces cannot have columns of {shapes}")

    def __len__(self) -> int:
        return len(self.sources)

    def pick(self, rows: NDArray[np.int64]) -> EmbeddingTable:
        """The faces of these rows."""
        return replace(
            self,
            sources=tuple(self.sources[i] for i in rows),
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            quality=self.quality[rows],
            vectors=self.vectors[rows],
            thumbnails=tuple(self.thumbnails[i] for i in rows),
            landmarks=None if self.landmarks is None else self.landmarks[rows],
        )

    def faces(self) -> list[Face]:
        """Its faces; norms are unknown, and so are landmarks that were not read."""
        found = []
        for row in range(len(self)):
            size, sharpness, yaw, value = (float(number) for number in self.quality[row])
            quality = None
            if value == value:
                # As it is written: 0 is the value of landmarks that can't be a face's.
                turned = None if yaw != yaw else yaw
                quality = Quality(size, sharpness, turned, value, landmarks_plausible=value != 0)
            embedding = Embedding(self.vectors[row], self.embedder, float("nan"))
            score = float(self.scores[row])
            found.append(Face(self.boxes[row], score, None, quality, embedding))
        return found

    @classmethod
    def from_faces(
        cls, faces: Sequence[Face], source: str, thumbnails: Sequence[bytes | None] = ()
    ) -> EmbeddingTable:
        """The faces of one photograph; without `thumbnails`, each has none.

        Raises:
            UsageError: a face without embedding.
            ModelMismatchError: embeddings of several models.
        """
        embeddings = [face.embedding for face in faces if face.embedding is not None]
        if len(embeddings) != len(faces):
            raise UsageError(f"{source}: a face without embedding; analyze with embed=True")
        models = {embedding.model for embedding in embeddings}
        if len(models) > 1:
            raise ModelMismatchError(f"{source}: embeddings of {' and '.join(sorted(models))}")
        n, unknown = len(faces), np.full((5, 2), np.nan, np.float32)
        landmarks = [unknown if face.landmarks is None else face.landmarks for face in faces]
        vectors = np.asarray([embedding.vector for embedding in embeddings], np.float32)
        return cls(
            (source,) * n,
            np.asarray([face.box for face in faces], np.float32).reshape(n, 4),
            np.asarray([face.score for face in faces], np.float32),
            np.asarray([_quality_row(face.quality) for face in faces], np.float32).reshape(n, 4),
            vectors if n else np.empty((0, 0), np.float32),
            models.pop() if models else "",
            tuple(thumbnails) or (None,) * n,
            landmarks=np.asarray(landmarks, np.float32).reshape(n, 5, 2),
        )

    @classmethod
    def concatenate(
        cls, tables: Sequence[EmbeddingTable], vectors: Array | None = None
    ) -> EmbeddingTable:
        """The faces of several tables, in order; `failed` is left out.

        Args:
            vectors: those of all tables, where one array holds them already.

        Raises:
            ModelMismatchError: faces of several models.
        """
        tables = [table for table in tables if len(table)]
        if not tables:
            return cls.from_faces([], "")
        models = sorted({table.embedder for table in tables})
        if len(models) > 1:
            raise ModelMismatchError(
                f"a table holds the faces of one model, not of {', '.join(models)}"
            )
        landmarks = [table.landmarks for table in tables if table.landmarks is not None]
        return cls(
            tuple(source for table in tables for source in table.sources),
            np.concatenate([table.boxes for table in tables]),
            np.concatenate([table.scores for table in tables]),
            np.concatenate([table.quality for table in tables]),
            np.concatenate([table.vectors for table in tables]) if vectors is None else vectors,
            models[0],
            tuple(thumbnail for table in tables for thumbnail in table.thumbnails),
            landmarks=np.concatenate(landmarks) if len(landmarks) == len(tables) else None,
        )


def conform(found: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Columns:
    """The named columns of a table that any program may have written, as `Columns` has them.

    A missing column reads as: no text, face 0, a box and score of 0, unknown landmarks and quality.
    `quality` may be its value alone, or JSON text of a number, four numbers or an object.

    Raises:
        ValueError: no `source` or `embedding`, or a column of another type or length.
    """
    for name in ("source", "embedding"):
        if name not in found:
            raise ValueError(f"no column {name}; found {', '.join(found) or 'none'}")
    vectors = found["embedding"]
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise ValueError(f"embedding {vectors.shape} is not a row of numbers for each face")
    n = len(vectors)
    lengths = {len(values) for values in found.values() if values.ndim}
    if lengths != {n}:
        raise ValueError(f"columns of different lengths: {sorted(lengths)}")
    columns: Columns = {}
    for name in names:
        values = found.get(name)
        if name == "embedding":
            columns[name] = np.asarray(vectors, np.float32)
        elif name in TEXTS:
            columns[name] = _texts(name, values, n)
        elif name == "face":
            columns[name] = _face_numbers(values, n)
        else:
            columns[name] = _reals(name, values, n)
    return columns


def _texts(name: str, values: NDArray[Any] | None, n: int) -> NDArray[Any]:
    if values is None:
        return np.full(n, None, object)
    if name == "embedder" and values.ndim == 0:
        values = np.full(n, values)
    if values.ndim != 1:
        raise ValueError(f"{name} is not one value per row")
    texts = values if values.dtype == object else values.astype(object)
    if values.dtype.kind not in "OU":
        texts = np.asarray([None, *(str(v) if v == v else None for v in texts)], object)[1:]
    if name == "source":
        return texts
    texts = texts.copy()
    texts[texts == ""] = None
    return texts


def _face_numbers(values: NDArray[Any] | None, n: int) -> NDArray[np.int32]:
    if values is None:
        return np.zeros(n, np.int32)
    if values.ndim != 1:
        raise ValueError("face is not one value per row")
    numbers = np.nan_to_num(_as_numbers("face", values, np.float64), nan=-1)
    return np.asarray(np.clip(numbers, -1, np.iinfo(np.int32).max), np.int32)


def _reals(name: str, values: NDArray[Any] | None, n: int) -> Array:
    shape = (n, *_SHAPES[name])
    if values is None:
        return np.full(shape, np.nan if name in ("landmarks", "quality") else 0, np.float32)
    if name == "quality" and values.dtype.kind in "OU" and values.ndim == 1:
        values = np.asarray([_quality_from_json(value) for value in values]).reshape(shape)
    numbers = _as_numbers(name, values, np.float32)
    if numbers.ndim and not numbers.size:  # null in every row
        return np.full(shape, np.nan, np.float32)
    if name == "quality" and numbers.ndim == 1:
        unknown = np.full((n, 3), np.nan, np.float32)
        numbers = np.concatenate([unknown, numbers[:, None]], axis=1)
    if not numbers.ndim or numbers.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{name} {numbers.shape} is not of the shape {shape}")
    return numbers.reshape(shape)


def _as_numbers(name: str, values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {values.dtype}, not numbers")
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype)


def _quality_from_json(text: str | None) -> Array:
    value = None if text is None else json.loads(text)
    if isinstance(value, Mapping):
        value = [value.get(name) for name in QUALITY]
    row = np.atleast_1d(np.asarray(value, np.float32))
    return row if len(row) == len(QUALITY) else np.append(np.full(3, np.nan, np.float32), row)


def _quality_row(quality: Quality | None) -> tuple[float, float, float, float]:
    if quality is None:
        return (np.nan,) * 4
    yaw = np.nan if quality.yaw is None else quality.yaw
    return quality.size, quality.sharpness, yaw, quality.value
