"""What all runtimes share: checks of files and inputs, fixed batch sizes, and error messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from faceprint import _onnx_reader
from faceprint.errors import (
    CardError,
    ChecksumError,
    ModelMissingError,
    RuntimeUnavailableError,
)
from faceprint.runtime.session import TensorSpec
from faceprint.types import Array

__all__ = [
    "cannot_run",
    "check_blob",
    "damaged",
    "looks_like_onnx",
    "no_device",
    "one_input",
    "require_file",
    "run_batched",
]


def damaged(model: Path, reason: object) -> ChecksumError:
    """Make the error for a file that no runtime can read."""
    return ChecksumError(
        f"{model.name}: not an ONNX file, or a damaged one; fetch it again ({reason})"
    )


def cannot_run(model: Path, runtime: str, reason: object) -> CardError:
    """Make the error for a valid file that one runtime can't run."""
    return CardError(f"{model.name}: a graph that {runtime} can't run ({reason})")


def no_device(device: str, instead: str, remedy: str) -> RuntimeUnavailableError:
    """Make the error for a device that is not available."""
    reason = f"{instead}; {remedy}"
    return RuntimeUnavailableError(
        f"device {device!r} was asked for, but {reason}, or choose device 'cpu'", reason
    )


def require_file(model: Path) -> Path:
    """Return the absolute path.

    Raises:
        ModelMissingError: the file does not exist.
    """
    if not model.is_file():
        raise ModelMissingError(f"{model}: no such model file; `faceprint models pull` fetches it")
    return model.resolve()


def looks_like_onnx(model: Path) -> bool:
    """Whether the file is an ONNX message with at least one node."""
    try:
        return bool(_onnx_reader.scan(model).nodes)
    except (ValueError, OSError):
        return False


def one_input(model: Path, inputs: Sequence[TensorSpec]) -> TensorSpec:
    """Return the single input of a graph.

    Raises:
        CardError: the graph takes none or several.
    """
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs) or "none"
        raise CardError(f"{model.name}: a face model takes one input, this graph takes {names}")
    if not inputs[0].shape:
        raise CardError(f"{model.name}: its input is a single number, not a batch of images")
    return inputs[0]


def check_blob(spec: TensorSpec, blob: Array) -> Array:
    """Return the blob as contiguous float32; its shape must be the graph's, but for the batch.

    Raises:
        CardError: a dimension that the graph does not take.
    """
    fits = blob.ndim == len(spec.shape) and all(
        size is None or size == given
        for size, given in zip(spec.shape[1:], blob.shape[1:], strict=True)
    )
    if not fits:
        shown = ", ".join("any" if size is None else str(size) for size in spec.shape[1:])
        raise CardError(
            f"the graph's input {spec.name!r} takes (batch, {shown}), but was fed {blob.shape}; "
            "the card's input contract is not this graph's"
        )
    return np.ascontiguousarray(blob, dtype=np.float32)


def run_batched(
    run: Callable[[Array], Sequence[Array]], blob: Array, fixed: int | None
) -> tuple[Array, ...]:
    """Run any number of rows on a graph whose batch may be fixed.

    Args:
        run: the graph, on exactly `fixed` rows where that is given.
        blob: (n, ...), n may be 0.
        fixed: rows that the graph takes per call, None for any number. The last call is padded
            with zeros, and their outputs are cut off.
    """
    rows = len(blob)
    if rows == 0:
        # Only the graph knows the shapes of its outputs.
        full = run(np.zeros((fixed or 1, *blob.shape[1:]), np.float32))
        return tuple(_float32(part)[:0] for part in full)
    if fixed is None or rows == fixed:
        return tuple(_float32(part) for part in run(blob))
    parts: list[list[Array]] = []
    for start in range(0, rows, fixed):
        chunk = blob[start : start + fixed]
        given = len(chunk)
        if given < fixed:
            filler = np.zeros((fixed - given, *blob.shape[1:]), np.float32)
            chunk = np.concatenate([chunk, filler])
        outputs = [_float32(part) for part in run(chunk)]
        parts.append([part[: len(part) * given // fixed] for part in outputs])
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _float32(part: Array) -> Array:
    return np.ascontiguousarray(part, dtype=np.float32)
