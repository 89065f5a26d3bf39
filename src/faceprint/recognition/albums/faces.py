"""The faces of an album as a struct of arrays, and their thumbnails."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from faceprint._files import file_of
from faceprint._text import printable
from faceprint.errors import InputError, ModelMismatchError, UsageError
from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.types import AnalyzedImage, Array, Face, Image, Quality
from faceprint.vision.images import decode

__all__ = ["FaceTable", "collect", "photo_faces", "thumbnail", "with_thumbnails"]

THUMBNAIL = 96
"""Side of a thumbnail in pixels: some 3 kB as JPEG."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceTable:
    """n faces of one model.

    Attributes:
        sources: the photograph of each, as it was named.
        boxes: (n, 4) float32 xyxy pixels. scores: (n,) of the detector, 0..1.
        quality: (n, 4) size, sharpness, yaw, value; NaN where not known.
        vectors: (n, d) float32 unit rows.
        thumbnails: a JPEG of each, None where there is none.
        failed: photographs that could not be used, with the reason.
    """

    sources: tuple[str, ...]
    boxes: Array
    scores: Array
    quality: Array
    vectors: Array
    embedder: str
    thumbnails: tuple[bytes | None, ...]
    failed: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        n = len(self.sources)
        shapes = (self.boxes.shape, self.scores.shape, self.quality.shape)
        if shapes != ((n, 4), (n,), (n, 4)) or len(self.vectors) != n or len(self.thumbnails) != n:
            raise UsageError(f"an album of {n} faces cannot have columns of {shapes}")

    def __len__(self) -> int:
        return len(self.sources)

    def pick(self, rows: Ints) -> FaceTable:
        """The faces of these rows."""
        return replace(
            self,
            sources=tuple(self.sources[i] for i in rows),
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            quality=self.quality[rows],
            vectors=self.vectors[rows],
            thumbnails=tuple(self.thumbnails[i] for i in rows),
        )


def photo_faces(faces: Iterable[Face], source: str, *, thumbnails: bool = True) -> FaceTable:
    """The faces of one photograph.

    Raises:
        UsageError: a face without embedding.
        ModelMismatchError: embeddings of several models.
    """
    rows = list(faces)
    embeddings = [face.embedding for face in rows if face.embedding is not None]
    if len(embeddings) != len(rows):
        raise UsageError(f"{source}: a face without embedding; analyze with embed=True")
    models = {embedding.model for embedding in embeddings}
    if len(models) > 1:
        raise ModelMismatchError(f"{source}: embeddings of {' and '.join(sorted(models))}")
    vectors = [embedding.vector for embedding in embeddings]
    return FaceTable(
        (source,) * len(rows),
        np.asarray([face.box for face in rows], np.float32).reshape(-1, 4),
        np.asarray([face.score for face in rows], np.float32),
        np.asarray([_quality(face.quality) for face in rows], np.float32).reshape(-1, 4),
        np.asarray(vectors, np.float32) if rows else np.empty((0, 0), np.float32),
        models.pop() if models else "",
        tuple(thumbnail(face.crop) if thumbnails else None for face in rows),
    )


def collect(results: Iterable[AnalyzedImage]) -> FaceTable:
    """All faces of a stream of analyzed photographs; the stream is read once.

    Raises:
        UsageError, ModelMismatchError: see `photo_faces`.
    """
    parts, failed = [], []
    for result in results:
        if result.error is not None:
            failed.append((printable(result.source), str(result.error)))
        elif result.faces:
            parts.append(photo_faces(result.faces, printable(result.source)))
    return replace(joined(parts), failed=tuple(failed))


def joined(parts: list[FaceTable], vectors: Array | None = None) -> FaceTable:
    """Tables one after another.

    Args:
        vectors: of all of them, where they lie in one array already.

    Raises:
        ModelMismatchError: of several models.
    """
    parts = [part for part in parts if len(part)]
    if not parts:
        return photo_faces([], "")
    models = sorted({part.embedder for part in parts})
    if len(models) > 1:
        raise ModelMismatchError(f"an album holds faces of one model, not of {', '.join(models)}")
    return FaceTable(
        tuple(source for part in parts for source in part.sources),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.vectors for part in parts]) if vectors is None else vectors,
        models[0],
        tuple(picture for part in parts for picture in part.thumbnails),
    )


def thumbnail(crop: Image | None) -> bytes | None:
    """A small JPEG of a crop."""
    if crop is None or not crop.size:
        return None
    import PIL.Image

    picture = PIL.Image.fromarray(crop)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=82)
    return data.getvalue()


def with_thumbnails(faces: FaceTable, source: str) -> FaceTable:
    """The faces of one photograph with thumbnails cut from it, if it can be read."""
    if None not in faces.thumbnails:
        return faces
    try:
        image = decode(file_of(source))
    except InputError:
        return faces
    cuts = [thumbnail(_cut(image, box)) for box in faces.boxes]
    return replace(faces, thumbnails=tuple(cuts))


def _cut(image: Image, box: Array) -> Image:
    """A square around the box with a margin, clipped to the photograph."""
    height, width = image.shape[:2]
    center, half = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * 0.65
    x1, y1 = np.maximum(center - half, 0).astype(int)
    x2, y2 = np.minimum(center + half, (width, height)).astype(int)
    return image[y1:y2, x1:x2]


def _quality(quality: Quality | None) -> tuple[float, float, float, float]:
    if quality is None:
        return (np.nan,) * 4
    yaw = np.nan if quality.yaw is None else quality.yaw
    return quality.size, quality.sharpness, yaw, quality.value
