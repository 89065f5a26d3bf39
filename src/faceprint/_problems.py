"""What each error of the tree is in a problem document (RFC 9457): the server writes it, the client
reads it back.
"""

from __future__ import annotations

from typing import NamedTuple

from faceprint import errors
from faceprint.errors import FaceprintError

__all__ = ["PROBLEMS", "SERVER_ERROR", "Problem", "error_class"]


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


SERVER_ERROR = Problem(500, "server-error", "The server could not do this", told=False)
_MODEL = Problem(503, "model-unavailable", "A model can't be used on this server", told=False)
_GALLERY = Problem(503, "gallery-unavailable", "The gallery can't be used", told=False)
_IMAGE = Problem(422, "unusable-image", "The image can't be used")

PROBLEMS: dict[type[FaceprintError], Problem] = {
    FaceprintError: SERVER_ERROR,
    errors.UsageError: Problem(400, "invalid-request", "The request is not valid"),
    errors.InvalidImageArrayError: _IMAGE,
    errors.InputError: Problem(422, "unusable-input", "The input can't be used"),
    errors.DecodeError: _IMAGE,
    errors.ImageTooLargeError: Problem(413, "image-too-large", "The image is too large"),
    errors.SourceNotFoundError: _IMAGE,
    errors.NoFaceError: Problem(422, "no-face", "No face was found"),
    errors.SeveralFacesError: Problem(422, "several-faces", "More than one face was found"),
    errors.DatasetError: SERVER_ERROR,
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
    errors.MissingExtraError: SERVER_ERROR,
    errors.GalleryError: _GALLERY,
    errors.ServiceError: SERVER_ERROR,
    errors.UnknownSubjectError: Problem(404, "unknown-subject", "No such subject or template"),
    errors.GalleryCorruptError: _GALLERY,
    errors.GalleryLockedError: _GALLERY,
}
"""Every class of `errors.py` (a test compares); a subclass elsewhere is answered as its base."""


def error_class(type: str) -> type[FaceprintError] | None:
    """The class of errors that a problem's `type` stands for, None for a problem of HTTP itself.

    Several classes may share a type: the one that most of the others derive from stands for all.

    Args:
        type: the last part of the document's `type`.
    """
    kinds = [kind for kind, problem in PROBLEMS.items() if problem.type == type]
    return max(kinds, key=lambda kind: sum(issubclass(k, kind) for k in kinds), default=None)
