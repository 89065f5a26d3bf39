"""Immich's machine-learning service: `GET /ping`, and `POST /predict` for facial recognition.

Immich sends no key. Names of models in its requests are ignored: the service's own models answer.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from faceprint._optional import require
from faceprint.errors import UsageError
from faceprint.server.access import needs
from faceprint.server.compat.doors import DoorRoute
from faceprint.server.keys import Scope
from faceprint.server.problems import HttpError
from faceprint.server.service import analyze
from faceprint.types import AnalyzedImage
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["api", "check"]

_DIM = 512
"""Numbers in an embedding: the width of the column in Immich's database."""
_FACES = "facial-recognition"
_SECONDS = 120.0


def check(analyzer: FaceAnalyzer, forward: str | None) -> None:
    """Refuse models whose embeddings Immich can't store.

    Raises:
        UsageError: the embeddings have another length, or `forward` is not an address.
        MissingExtraError: httpx is needed to forward, and is not installed.
    """
    card = analyzer.embedder_card
    if card.dim != _DIM:
        raise UsageError(
            f"Immich stores embeddings of {_DIM} numbers, and {card.id} gives {card.dim}; choose "
            "another embedder, such as --embedder w600k-mbf"
        )
    if forward is not None:
        require("httpx", extra="client")
        if not forward.startswith(("http://", "https://")):
            raise UsageError(f"--forward {forward!r} is not an address such as http://ml:3003")


class _Route(DoorRoute):
    async def authorize(self, request: Request, scope: Scope) -> None:
        """Nobody has a key here: where that is allowed, refuse the pages of browsers alone."""
        if not request.app.state.immich_open:
            await super().authorize(request, scope)
            return
        request.state.key, request.state.scopes = None, frozenset({scope})
        if "origin" in request.headers:
            raise HttpError(403, "this address is for Immich, not for pages of browsers")

    def refusal(self, type: str, words: str) -> tuple[int | None, dict[str, Any]]:
        """As Immich's own service: `detail`."""
        return None, {"detail": words}


api = APIRouter(route_class=_Route)


@api.get("/ping", openapi_extra=needs("read"))
async def ping() -> PlainTextResponse:
    """Whether the service answers."""
    return PlainTextResponse("pong")


@api.post("/predict", openapi_extra=needs("embed"))
async def predict(request: Request) -> Response:
    """Faces and embeddings of a photograph; other tasks go to the service in `--forward`."""
    form = await request.form()
    entries = _entries(form.get("entries"))
    image, text = form.get("image"), form.get("text")
    if image is not None and not isinstance(image, UploadFile):
        raise HttpError(422, "image is not a file")
    others = {task: entry for task, entry in entries.items() if task != _FACES}
    content = None if image is None else await image.read()
    answer: dict[str, Any] = {}
    if others:
        answer |= await _forwarded(request, others, content, text)
    if _FACES in entries:
        if content is None:
            raise HttpError(422, "facial recognition needs an image")
        found = await analyze(request, content)
        answer |= {_FACES: _faces(found, _least_score(entries[_FACES]))}
        answer |= {"imageHeight": found.height, "imageWidth": found.width}
    return JSONResponse(answer)


def _entries(text: object) -> dict[str, Any]:
    try:
        entries = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict) or not entries:
        raise HttpError(422, "entries is not a JSON object of tasks")
    return entries


def _least_score(entry: Any) -> float:
    try:
        return float(entry["detection"]["options"]["minScore"])
    except (KeyError, TypeError, ValueError):
        return 0.0


def _faces(found: AnalyzedImage, least: float) -> list[dict[str, Any]]:
    return [
        {
            # Immich's columns hold whole numbers.
            "boundingBox": dict(
                zip(("x1", "y1", "x2", "y2"), np.rint(face.box).astype(int).tolist(), strict=True)
            ),
            "embedding": _written(face.embedding.vector),
            "score": float(face.score),
        }
        for face in found.faces
        if face.embedding is not None and face.score >= least
    ]


def _written(vector: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    """A vector as Immich hands it to its database: a JSON list, as text."""
    return f"[{','.join(str(value) for value in vector)}]"


async def _forwarded(
    request: Request, entries: dict[str, Any], image: bytes | None, text: object
) -> dict[str, Any]:
    address: str | None = request.app.state.forward
    if address is None:
        raise HttpError(
            422,
            f"this service does {_FACES} alone, not {', '.join(sorted(entries))[:200]}; start it "
            "with --forward and the address of Immich's own service",
        )
    import httpx

    data = {"entries": json.dumps(entries)} | ({"text": text} if isinstance(text, str) else {})
    files = None if image is None else {"image": ("image", image)}
    try:
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            answer = await client.post(f"{address.rstrip('/')}/predict", data=data, files=files)
            document = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise HttpError(503, "the service in --forward gave no answer") from error
    if not isinstance(document, dict):
        raise HttpError(503, "the service in --forward gave no answer")
    return document
