"""What the onnx package trips over in a file that anybody may have made, as one error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from faceprint._optional import require
from faceprint.errors import FaceprintError, ModelError

__all__ = ["reading"]


@contextmanager
def reading(name: str, *, extra: str, kind: type[ModelError]) -> Iterator[None]:
    """Turn what goes wrong while a graph is read or rewritten into `kind`, with the reason.

    The package answers a lying file with the error of the line that stumbled, so the list is long.

    Raises:
        MissingExtraError: the onnx package is not installed.
    """
    checker = require("onnx", extra=extra).checker
    messages = require("google.protobuf.message", extra=extra)
    stumbles = (
        messages.Error, checker.ValidationError, OSError, ValueError, TypeError, LookupError,
        ArithmeticError, AttributeError, RuntimeError, MemoryError,
    )  # fmt: skip
    try:
        yield
    except FaceprintError:
        raise
    except stumbles as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise kind(f"{name}: not an ONNX graph, or a damaged one ({reason})") from error
