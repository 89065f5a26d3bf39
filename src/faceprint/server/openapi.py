"""The OpenAPI document, and the methods that each address takes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from faceprint.server.schemas import ProblemDocument

__all__ = ["PROBLEMS", "AllowedMethods", "describe"]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {
        "description": words,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
        },
    }
    for code, words in {
        400: "The request is not valid",
        401: "No valid key",
        403: "The key lacks the scope",
        404: "Not there",
        408: "The body took too long to arrive",
        409: "A name that is taken, or nothing to undo",
        413: "Too large",
        422: "The image or a field can't be used",
        429: "Busy, or too many requests",
        503: "The models or the gallery can't be used",
    }.items()
}
"""`responses` of every guarded route."""


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an application: its routes, problem documents, and API keys."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = document
    return app.openapi_schema


class AllowedMethods:
    """The methods of all routes that match an address: one route knows its own alone."""

    def __init__(self) -> None:
        self._routes: list[APIRoute] = []

    def add(self, router: APIRouter) -> None:
        """Note the routes of a router."""
        self._routes += [route for route in router.routes if isinstance(route, APIRoute)]

    def of(self, path: str) -> str:
        """The value of the header `Allow`."""
        routes = [route for route in self._routes if route.path_regex.match(path)]
        return ", ".join(sorted({method for route in routes for method in route.methods or ()}))
