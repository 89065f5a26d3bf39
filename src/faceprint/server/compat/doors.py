"""What the routes of other products share: errors in their form, photographs, and their scale."""

from __future__ import annotations

import base64
import binascii
import importlib
import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from faceprint.errors import UsageError
from faceprint.server.access import GuardedRoute, Handler
from faceprint.server.problems import REFUSALS, HttpError, problem_response
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "NAMES",
    "DoorRoute",
    "add",
    "json_object",
    "photographs",
    "rescale",
]

NAMES = ("immich", "compreface", "deepstack")


def add(
    app: FastAPI, name: str, analyzer: FaceAnalyzer, *, forward: str | None, is_open: bool
) -> None:
    """Serve the routes of another product.

    Raises:
        UsageError: there is no such door, or these models or options don't fit it.
    """
    if name not in NAMES:
        raise UsageError(f"no door for {name!r}; there are {', '.join(NAMES)}")
    app.state.forward, app.state.immich_open = forward, is_open
    module: Any = importlib.import_module(f"faceprint.server.compat.{name}")
    module.check(analyzer, forward)
    app.include_router(module.api, include_in_schema=False)
    app.state.allowed.add(module.api)


class DoorRoute(GuardedRoute):
    """A guarded route whose refusals have the form of another product."""

    def refusal(self, type: str, words: str) -> tuple[int | None, dict[str, Any]]:
        """Status (None for the usual one) and document of a refusal.

        Args:
            type: the last part of the `type` of the problem document.
            words: its detail, or its title.
        """
        raise NotImplementedError

    def get_route_handler(self) -> Handler:
        """The guarded handler, with its errors translated."""
        guarded = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await guarded(request)
            except REFUSALS as error:
                return self._translated(request, error)

        return answered

    def _translated(self, request: Request, error: Exception) -> Response:
        usual = problem_response(request, error)
        document: dict[str, str] = json.loads(bytes(usual.body))
        status, body = self.refusal(
            document["type"].rpartition("/")[2], document.get("detail", document["title"])
        )
        headers = {n: v for n, v in usual.headers.items() if not n.startswith("content-")}
        return JSONResponse(body, status or usual.status_code, headers=headers)


async def photographs(request: Request, *fields: str) -> list[bytes]:
    """The photographs of a form, or in base64 in a JSON object.

    Raises:
        HttpError: 422 where one is missing.
    """
    values: Mapping[str, Any]
    if request.headers.get("content-type", "").startswith("application/json"):
        values = await json_object(request)
    else:
        values = await request.form()
    found = []
    for field in fields:
        value = values.get(field)
        if isinstance(value, UploadFile):
            found.append(await value.read())
        elif isinstance(value, str):
            found.append(_from_base64(value, field))
        else:
            raise HttpError(422, f"{field} is not a photograph")
    return found


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        HttpError: 422 where it is none.
    """
    try:
        document = await request.json()
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise HttpError(422, "the body is not a JSON object")
    return document


def _from_base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HttpError(422, f"{field} is not base64") from error


def rescale(similarity: float, threshold: float, at: float) -> float:
    """A cosine similarity on another product's scale of 0 to 1, where `at` is our threshold.

    Other products' clients compare with numbers of their own, which mean nothing for our models.
    The scale is linear from -1 to the threshold and from there to 1, so that order is kept.
    """
    if similarity < threshold:
        return at * (similarity + 1) / (threshold + 1)
    above = 1 - threshold
    return at + (1 - at) * ((similarity - threshold) / above if above > 0 else 1.0)
