"""Errors as problem documents (RFC 9457): one table from the error tree to HTTP."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse

from faceprint import errors
from faceprint.errors import FaceprintError

__all__ = ["PROBLEMS", "HttpError", "Problem", "problem_of", "problem_response"]


class Problem(NamedTuple):
    """How one kind of error is answered.

    Attributes:
        type: the last part of the document's `type`.
        told: whether the message is for the client; otherwise it is logged alone, since it may
            name files of the server.
    """

    status: int
    type: str
    title: str
    told: bool = True


_BROKEN = Problem(500, "server-error", "The server could not do this", told=False)
_MODEL = Problem(503, "model-unavailable", "A model can't be used on this server", told=False)
_GALLERY = Problem(503, "gallery-unavailable", "The gallery can't be used", told=False)
_IMAGE = Problem(422, "unusable-image", "The image can't be used")

PROBLEMS: dict[type[Exception], Problem] = {
    FaceprintError: _BROKEN,
    errors.UsageError: Problem(400, "invalid-request", "The request is not valid"),
    errors.InvalidImageArrayError: _IMAGE,
    errors.InputError: Problem(422, "unusable-input", "The input can't be used"),
    errors.DecodeError: _IMAGE,
    errors.ImageTooLargeError: Problem(413, "image-too-large", "The image is too large"),
    errors.SourceNotFoundError: _IMAGE,
    errors.NoFaceError: Problem(422, "no-face", "No face was found"),
    errors.SeveralFacesError: Problem(422, "several-faces", "More than one face was found"),
    errors.DatasetError: _BROKEN,
    errors.ModelError: _MODEL,
    errors.UnknownModelError: _MODEL,
    errors.CardError: _MODEL,
    errors.ModelMissingError: _MODEL,
    errors.DownloadError: _MODEL,
    errors.LicenseNotAcceptedError: _MODEL,
    errors.ChecksumError: _MODEL,
    errors.ModelMismatchError: _GALLERY,
    errors.NotFiniteError: _IMAGE,
    errors.RuntimeUnavailableError: _MODEL,
    errors.MissingExtraError: _BROKEN,
    errors.GalleryError: _GALLERY,
    errors.UnknownSubjectError: Problem(404, "unknown-subject", "No such subject or template"),
    errors.GalleryCorruptError: _GALLERY,
    errors.GalleryLockedError: _GALLERY,
}
"""Every class of `errors.py` (a test compares); a subclass elsewhere is answered as its base."""

_STATUS = {
    400: Problem(400, "invalid-request", "The request is not valid"),
    401: Problem(401, "unauthorized", "A valid API key is needed"),
    403: Problem(403, "forbidden", "This API key may not do that"),
    404: Problem(404, "not-found", "There is nothing at this address"),
    405: Problem(405, "method-not-allowed", "This address does not take that method"),
    408: Problem(408, "too-slow", "The request took too long to arrive"),
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


def problem_of(error: Exception) -> Problem:
    """How this error is answered: by its class, else by the nearest base."""
    if isinstance(error, HttpError):
        return _STATUS.get(error.status, _BROKEN)
    return next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), _BROKEN)


def problem_response(request: Request, error: Exception) -> JSONResponse:
    """The problem document of an error.

    Messages say `image` where the Python API says `<bytes>`. Those of faults of the server itself
    stay in the log.
    """
    problem = problem_of(error)
    document: dict[str, object] = {
        "type": f"/problems/{problem.type}",
        "title": problem.title,
        "status": problem.status,
    }
    if problem.told and str(error):
        document["detail"] = str(error).replace("<bytes>", "image")
    headers = error.headers if isinstance(error, HttpError) else {}
    if problem.status >= 500:
        request.state.error = error
    return JSONResponse(
        document, problem.status, headers=headers, media_type="application/problem+json"
    )
