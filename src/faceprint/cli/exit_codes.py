"""The exit code of each error (docs/cli.md)."""

from __future__ import annotations

import errno

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

_PATHS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
    | {errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST}
)
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
    """The exit code of an error; 5 for an unexpected one.

    A path that can't be used (no permission, too long, a file instead of a folder) is unusable
    input, whichever library raised the error.
    """
    if isinstance(error, OSError) and not isinstance(error, FaceprintError):
        return INPUT if error.errno in _PATHS and isinstance(error.filename, str | bytes) else OTHER
    return next((code for kind, code in _TABLE if isinstance(error, kind)), OTHER)
