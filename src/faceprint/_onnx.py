"""Turn the onnx package's many errors on damaged or hostile files into one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from faceprint._optional import require
from faceprint.errors import FaceprintError, ModelError

__all__ = ["reading"]


@contextmanager
def reading(name: str, *, extra: str, kind: type[ModelError]) -> Iterator[None]:
    """Raise errors of reading or rewriting a graph as `kind`, with the reason.

    The package checks little, so a hostile file can cause almost any error.

    Raises:
        MissingExtraError: the onnx package is not installed.
    """
    checker = require("onnx", extra=extra).checker
    messages = require("google.protobuf.message", extra=extra)
    causes = (
        messages.Error, checker.ValidationError, OSError, ValueError, TypeError, LookupError,
        ArithmeticError, AttributeError, RuntimeError, MemoryError,
    )  # fmt: skip
    try:
        yield
    except FaceprintError:
        raise
    except causes as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise kind(f"{name}: not an ONNX graph, or a damaged one ({reason})") from error
