"""Every error has one of the documented exit codes, by the table and not by accident."""

from __future__ import annotations

import errno

import pytest

from faceprint import errors
from faceprint.cli import app
from faceprint.cli.exit_codes import exit_code

EXPECTED = {
    "UsageError": 2,
    "InvalidImageArrayError": 2,
    "InputError": 3,
    "DecodeError": 3,
    "NoFaceError": 3,
    "SeveralFacesError": 3,
    "ImageTooLargeError": 3,
    "SourceNotFoundError": 3,
    "UnknownModelError": 4,
    "ChecksumError": 4,
    "MissingExtraError": 4,
}


def every_class() -> list[type[errors.FaceprintError]]:
    found, waiting = [], [errors.FaceprintError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return [kind for kind in found if kind.__module__ == errors.__name__]


@pytest.mark.parametrize(("name", "code"), EXPECTED.items())
def test_documented_codes(name: str, code: int) -> None:
    assert exit_code(getattr(errors, name)("x")) == code


def test_every_error_but_the_root_is_covered() -> None:
    uncovered = [kind.__name__ for kind in every_class() if exit_code(kind("x")) == 5]
    assert uncovered == ["FaceprintError"]


def test_every_error_is_a_standard_one_too() -> None:
    standard = (ValueError, KeyError, ImportError, OSError, RuntimeError, LookupError)
    for kind in every_class():
        if kind is not errors.FaceprintError:
            assert issubclass(kind, standard), kind


def test_every_error_says_its_message() -> None:
    for kind in every_class():
        assert str(kind("what went wrong")) == "what went wrong"


def test_a_path_that_cannot_be_used_is_an_input() -> None:
    assert exit_code(PermissionError(errno.EACCES, "Permission denied", "people.db")) == 3
    assert exit_code(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300)) == 3
    assert exit_code(OSError(errno.ENOSPC, "No space left on device", "people.db")) == 5
    assert exit_code(PermissionError(errno.EPERM, "Operation not permitted")) == 5


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("a"), 2),
        (errors.DecodeError("b"), 3),
        (errors.ModelMissingError("c"), 4),
        (errors.FaceprintError("d"), 5),
        (ZeroDivisionError("e"), 5),
    ],
)
@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
def test_debug_changes_no_exit_code(
    error: Exception,
    code: int,
    debug: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(SystemExit) as left:
        app.main(["verify", "a.jpg", "b.jpg", *debug])
    assert left.value.code == code
    assert ("Traceback" in capsys.readouterr().err) is bool(debug)
