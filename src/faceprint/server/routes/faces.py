"""Detection: the faces of a photograph."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request

from faceprint.server import schemas
from faceprint.server.access import GuardedRoute, needs
from faceprint.server.openapi import PROBLEMS
from faceprint.server.problems import HttpError
from faceprint.server.routes.parameters import Crops, Image
from faceprint.server.service import analyze, analyzer_of
from faceprint.types import Face

__all__ = ["crop_url", "router"]

router = APIRouter(route_class=GuardedRoute, responses=PROBLEMS)


@router.post("/v1/faces", tags=["faces"], openapi_extra=needs("identify"))
async def faces(
    request: Request,
    image: Image,
    embed: Annotated[bool, Query(description="answer embeddings; needs the scope embed")] = False,
    crops: Crops = False,
) -> schemas.FacesAnswer:
    """Find the faces of a photograph, largest first."""
    if embed and "embed" not in request.state.scopes:
        raise HttpError(403, "this key lacks the scope embed")
    result = await analyze(request, await image.read(), keep_crops=crops)
    return schemas.FacesAnswer(
        width=result.width,
        height=result.height,
        embedder=analyzer_of(request).embedder_card.id if embed else None,
        faces=[
            schemas.DetectedFace(**_face(face, embed=embed, crop=crops)) for face in result.faces
        ],
    )


def _face(face: Face, *, embed: bool, crop: bool) -> dict[str, Any]:
    entry = face.to_dict()
    if embed and face.embedding is not None:
        entry["embedding"] = [float(value) for value in face.embedding.vector]
        entry["norm"] = float(face.embedding.norm)
    if crop:
        entry["crop"] = crop_url(face)
    return entry


def crop_url(face: Face) -> str | None:
    if face.crop is None:
        return None
    import cv2

    done, encoded = cv2.imencode(".png", face.crop[:, :, ::-1])
    return f"data:image/png;base64,{base64.b64encode(encoded.tobytes()).decode()}" if done else None
