"""From the faces that another program stored to records of an export."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from faceprint._text import counted, json_text, printable
from faceprint.errors import DatasetError, FaceprintError
from faceprint.recognition.gallery.records import now
from faceprint.recognition.gallery.transfer_files import Record
from faceprint.types import Array

__all__ = ["ForeignFace", "LeftOut", "float32", "records"]


_QUIET = np.errstate(over="ignore", invalid="ignore")
"""Numbers that are no embedding are refused, without warnings of numpy's."""


class ForeignFace(NamedTuple):
    """What another program stored of a person.

    Attributes:
        name: text; None if nobody named the face.
        vectors: a vector of numbers, or several of them; None for a photograph without a face.
        source: where the face is from; empty for the file or database it stands in.
        metadata: of the subject.
    """

    name: object
    vectors: Any
    source: str = ""
    metadata: dict[str, Any] | None = None


@dataclass(slots=True)
class LeftOut:
    """What was not imported, and what else the user should know.

    Attributes:
        unnamed: faces that nobody named.
        faceless: photographs in which the other program found no face.
        notes: sentences for the user.
    """

    unnamed: int = 0
    faceless: int = 0
    notes: list[str] = field(default_factory=list)


def records(
    label: str, faces: Iterable[ForeignFace], dim: int, left_out: LeftOut
) -> Generator[Record, None, None]:
    """Records of an export for these faces.

    Args:
        label: of the file or database, for messages.
        dim: length of an embedding. They need not have unit length.
        left_out: is counted up.

    Raises:
        DatasetError: damaged, or embeddings of another length.
    """
    number = 0
    try:
        for face in faces:
            if face.vectors is None:
                left_out.faceless += 1
                continue
            vectors = float32(face.vectors)
            rows = vectors[None] if vectors.ndim == 1 else vectors
            if face.name is None:
                left_out.unnamed += len(rows)
                continue
            for vector in rows:
                number += 1
                yield _record(label, face, vector, dim)
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        if isinstance(error, FaceprintError):
            raise
        raise DatasetError(f"{label}, after {counted(number, 'face', 'faces')}: {error}") from error


@_QUIET
def float32(values: Any) -> Array:
    """Numbers as an array; those that are too large become infinite."""
    return np.asarray(values, np.float32)


@_QUIET
def _record(label: str, face: ForeignFace, vector: Array, dim: int) -> Record:
    if not isinstance(face.name, str):
        raise DatasetError(f"{label}: a name is {type(face.name).__name__}, not text")
    if vector.shape != (dim,):
        raise DatasetError(
            f"{label}: embeddings of shape {vector.shape}; the embedder's have {dim}"
        )
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not 0 < length < np.finfo(np.float32).max:
        raise DatasetError(f"{label}: an embedding of {printable(face.name)} is zero or not finite")
    return {
        "subject": face.name,
        "metadata": json_text(face.metadata or {}),
        # There is no photograph, so the embedding itself is what makes the face known.
        "content": hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest(),
        "source": printable(face.source or label),
        "norm": length,
        "created": now(),
        "vector": (vector / np.float32(length)).astype("<f4").tobytes(),
    }
