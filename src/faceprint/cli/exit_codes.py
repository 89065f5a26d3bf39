"""One table from errors to exit codes (docs/cli.md)."""

from __future__ import annotations

from faceprint.errors import (
    FaceprintError,
    GalleryError,
    GalleryLockedError,
    InputError,
    MissingExtraError,
    ModelError,
    UnknownSubjectError,
    UsageError,
)

__all__ = ["DONE", "INPUT", "MISSING", "NO", "OTHER", "USAGE", "exit_code"]

DONE, NO, USAGE, INPUT, MISSING, OTHER = range(6)

_TABLE: tuple[tuple[type[FaceprintError], int], ...] = (
    (UsageError, USAGE),
    (InputError, INPUT),
    (ModelError, MISSING),
    (MissingExtraError, MISSING),
    (UnknownSubjectError, NO),
    (GalleryLockedError, MISSING),
    (GalleryError, INPUT),
)


def exit_code(error: BaseException) -> int:
    """The exit code for an error; 5 for what is not ours."""
    return next((code for kind, code in _TABLE if isinstance(error, kind)), OTHER)
