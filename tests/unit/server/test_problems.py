"""Every error of the tree has its place in the table of problems."""

from __future__ import annotations

import pytest

from faceprint import errors
from faceprint._problems import PROBLEMS, error_class
from faceprint.server.problems import HttpError, problem_of


def test_every_error_class_is_in_the_table() -> None:
    assert {kind.__name__ for kind in PROBLEMS} == set(errors.__all__)


@pytest.mark.parametrize(
    "error, status, type",
    [
        (errors.NoFaceError("a: no face found"), 422, "no-face"),
        (errors.ImageTooLargeError("too large"), 413, "image-too-large"),
        (errors.DecodeError("not an image"), 422, "unusable-image"),
        (errors.UnknownSubjectError("nobody"), 404, "unknown-subject"),
        (errors.UsageError("no"), 400, "invalid-request"),
        (HttpError(429, "busy"), 429, "too-many-requests"),
        (ZeroDivisionError(), 500, "server-error"),
    ],
)
def test_statuses_of_the_contract(error: Exception, status: int, type: str) -> None:
    assert problem_of(error)[:2] == (status, type)


def test_a_subclass_is_answered_as_its_base() -> None:
    class Narrower(errors.NoFaceError):
        pass

    assert problem_of(Narrower("x")).type == "no-face"


def test_what_may_name_files_of_the_server_is_not_told() -> None:
    for kind, problem in PROBLEMS.items():
        if problem.status >= 500:
            assert not problem.told, kind


@pytest.mark.parametrize(
    "type, kind",
    [
        ("no-face", errors.NoFaceError),
        ("several-faces", errors.SeveralFacesError),
        ("unusable-image", errors.DecodeError),
        ("image-too-large", errors.ImageTooLargeError),
        ("unusable-input", errors.InputError),
        ("invalid-request", errors.UsageError),
        ("unknown-subject", errors.UnknownSubjectError),
        ("model-unavailable", errors.ModelError),
        ("gallery-unavailable", errors.GalleryError),
        ("server-error", errors.FaceprintError),
        ("too-many-requests", None),
        ("", None),
    ],
)
def test_a_problem_is_read_back_as_the_error_that_it_was(
    type: str, kind: type[Exception] | None
) -> None:
    assert error_class(type) is kind
