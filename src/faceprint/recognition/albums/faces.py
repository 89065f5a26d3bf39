"""The faces of analyzed photographs for an album, and which of them are good enough to sort."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from faceprint._files import file_of
from faceprint._text import printable
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import InputError
from faceprint.types import AnalyzedImage, Array, Image
from faceprint.vision.images import decode

__all__ = ["collect", "thumbnail", "with_thumbnails"]

THUMBNAIL = 96
"""Side of a thumbnail in pixels: some 3 kB as JPEG."""


def collect(
    results: Iterable[AnalyzedImage], seen: Callable[[int], None] | None = None
) -> EmbeddingTable:
    """All faces of a stream of analyzed photographs, once each.

    Args:
        seen: called with the number of photographs done.

    Raises:
        UsageError: a face without embedding.
        ModelMismatchError: embeddings of several models.
    """
    parts, failed = [], []
    for count, result in enumerate(results, start=1):
        if result.error is not None:
            failed.append((printable(result.source), str(result.error)))
        elif result.faces:
            thumbnails = [thumbnail(face.crop) for face in result.faces]
            source = printable(result.source)
            parts.append(EmbeddingTable.from_faces(result.faces, source, thumbnails))
        if seen is not None:
            seen(count)
    return replace(EmbeddingTable.concatenate(parts), failed=tuple(failed))


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


def with_thumbnails(faces: EmbeddingTable, source: str) -> EmbeddingTable:
    """The faces of one photograph with pictures cut from it, if it is there and can be read."""
    if None not in faces.thumbnails:
        return faces
    try:
        image = decode(file_of(source))
    except InputError:
        return faces
    cuts = [thumbnail(_cut(image, box)) for box in faces.boxes]
    return replace(faces, thumbnails=tuple(cuts))


def _cut(image: Image, box: Array) -> Image:
    """The box grown to a square with a margin, as far as the photograph goes."""
    height, width = image.shape[:2]
    center, half = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * 0.65
    x1, y1 = np.maximum(center - half, 0).astype(int)
    x2, y2 = np.minimum(center + half, (width, height)).astype(int)
    return image[y1:y2, x1:x2]
