"""Errors as problem documents (RFC 9457): from an error of the tree or of HTTP to an answer."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from faceprint._problems import PROBLEMS, SERVER_ERROR, Problem
from faceprint.errors import FaceprintError
from faceprint.server.work_queue import WorkQueueFullError

__all__ = ["REFUSALS", "HttpError", "for_clients", "problem_of", "problem_response"]


_STATUS = {
    400: Problem(400, "invalid-request", "The request is not valid"),
    401: Problem(401, "unauthorized", "A valid API key is needed"),
    403: Problem(403, "forbidden", "This API key may not do that"),
    404: Problem(404, "not-found", "There is nothing at this address"),
    405: Problem(405, "method-not-allowed", "This address does not take that method"),
    408: Problem(408, "too-slow", "The request took too long to arrive"),
    409: Problem(409, "conflict", "That does not fit what is stored"),
    413: Problem(413, "body-too-large", "The request is too large"),
    422: Problem(422, "invalid-request", "The request is not valid"),
    429: Problem(429, "too-many-requests", "Too many requests"),
    503: Problem(503, "unavailable", "The server can't answer now"),
}


class HttpError(Exception):
    """A refusal that comes from HTTP itself, not from face recognition.

    Args:
        status: one of those in this module's table.
        detail: a sentence for the client.
        headers: to add to the answer.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


REFUSALS = (
    FaceprintError,
    HttpError,
    HTTPException,
    RequestValidationError,
    WorkQueueFullError,
)
"""What a route may raise to refuse a request."""


def _as_http(request: Request, error: Exception) -> Exception:
    """A refusal of the frameworks or of the queue as ours."""
    if isinstance(error, WorkQueueFullError):
        return HttpError(429, "the server is busy", {"Retry-After": "1"})
    if isinstance(error, RequestValidationError):
        # Say which fields are wrong, and never what was sent in them.
        words = [
            f"{'.'.join(map(str, fault.get('loc', ())))}: {fault.get('msg', 'not valid')}"
            for fault in error.errors()
        ]
        return HttpError(422, "; ".join(words)[:2000])
    if isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = request.app.state.allowed.of(request.url.path)
        return HttpError(error.status_code, str(error.detail), headers)
    return error


def problem_of(error: Exception) -> Problem:
    """How this error is answered: by its class, else by the nearest base."""
    if isinstance(error, HttpError):
        return _STATUS.get(error.status, SERVER_ERROR)
    return next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), SERVER_ERROR)


def for_clients(message: str) -> str:
    """A message of the Python API, whose images are bytes, for clients that sent files."""
    return message.replace("<bytes>", "image")


def problem_response(request: Request, error: Exception) -> JSONResponse:
    """The problem document of an error.

    Messages about faults of the server itself stay in the log.
    """
    error = _as_http(request, error)
    problem = problem_of(error)
    document: dict[str, object] = {
        "type": f"/problems/{problem.type}",
        "title": problem.title,
        "status": problem.status,
    }
    if problem.told and str(error):
        document["detail"] = for_clients(str(error))
    headers = error.headers if isinstance(error, HttpError) else {}
    if problem.status >= 500:
        request.state.error = error
    return JSONResponse(
        document, problem.status, headers=headers, media_type="application/problem+json"
    )
