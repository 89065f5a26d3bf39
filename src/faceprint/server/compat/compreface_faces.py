"""Faces as CompreFace's API shows them, with similarities on its scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from faceprint.errors import NoFaceError
from faceprint.recognition.thresholds.default_threshold import decide_by
from faceprint.server.compat.doors import photographs, rescale
from faceprint.server.problems import HttpError
from faceprint.server.service import analyze, analyzer_of
from faceprint.types import Array, Face

__all__ = ["AT_THRESHOLD", "compared", "face_document", "requested_faces"]

AT_THRESHOLD = 0.6
"""The similarity of a pair at our threshold: what double-take takes for a match by default."""


async def requested_faces(request: Request, field: str, limit: int, score: float) -> list[Face]:
    """The largest `limit` faces of a photograph (0: all) of at least this score.

    Raises:
        NoFaceError: there is none.
    """
    (image,) = await photographs(request, field)
    found = [
        face
        for face in (await analyze(request, image)).faces
        if face.embedding is not None and face.score >= score
    ]
    if not found:
        raise NoFaceError("no face found")
    return found[: limit or None]


def face_document(request: Request, face: Face, plugins: str) -> dict[str, Any]:
    """A face: its box, and what the plugins `landmarks` and `calculator` (embedding) add."""
    names = {name.strip() for name in plugins.split(",")}
    x1, y1, x2, y2 = (round(float(value)) for value in face.box)
    box = {"x_min": x1, "y_min": y1, "x_max": x2, "y_max": y2, "probability": float(face.score)}
    entry: dict[str, Any] = {"box": box}
    if "landmarks" in names and face.landmarks is not None:
        entry["landmarks"] = [[round(float(v)) for v in point] for point in face.landmarks]
    if "calculator" in names and face.embedding is not None:
        if "embed" not in request.state.scopes:
            raise HttpError(403, "this key lacks the scope embed")
        entry["embedding"] = face.embedding.vector.tolist()
    return entry


def compared(
    request: Request, vector: Array, faces: Sequence[Face], plugins: str
) -> list[dict[str, Any]]:
    """The faces with their similarity to a vector, the most similar first."""
    point = decide_by(analyzer_of(request)).point
    found = [
        face_document(request, face, plugins)
        | {
            "similarity": rescale(
                float(face.embedding.vector @ vector), point.threshold, AT_THRESHOLD
            )
        }
        for face in faces
        if face.embedding is not None
    ]
    return sorted(found, key=lambda entry: -entry["similarity"])
