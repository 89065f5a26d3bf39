"""Find the external data that an ONNX file names, and refuse paths out of the file's folder.

Only the protobuf message is read: no graph is built and no tensor is loaded. Runtimes differ in
what they ignore and which paths they follow, so a file that can't be read here is refused for all
of them. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from faceprint._onnx_reader import mapped, message_fields
from faceprint.errors import CardError, ChecksumError

__all__ = ["external_locations", "outside_location", "refuse_outside"]

_DEPTH = 32
"""Graphs nested in graphs (If, Loop) deeper than this are refused."""

# Message kind -> field number -> kind of the message in that field.
_INNER: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}


def external_locations(path: Path) -> tuple[str, ...]:
    """Return every distinct `location` of external data that a model names, sorted.

    Raises:
        ValueError: not a protobuf message.
        OSError: not readable.
    """
    with mapped(path) as view:
        return tuple(sorted(set(_walk(view, "model", 0, len(view), 0))))


def outside_location(path: Path) -> str:
    """Return the first location of external data outside the model's folder, "" for none.

    Raises:
        ValueError: not a protobuf message.
        OSError: not readable.
    """
    folder = path.resolve().parent
    for location in external_locations(path):
        windows = PureWindowsPath(location)
        if (
            PurePosixPath(location).is_absolute()
            or windows.drive
            or windows.root
            or ".." in windows.parts
            or not (folder / location).resolve().is_relative_to(folder)
        ):
            return location
    return ""


def refuse_outside(path: Path) -> None:
    """Refuse a model that can't be read, or whose external data lies outside its folder.

    Raises:
        ChecksumError: not a protobuf message, or one that is nested too deeply.
        CardError: external data outside of its folder.
        OSError: not readable.
    """
    status = path.stat()
    try:
        outside = _outside(path, status.st_size, status.st_mtime_ns)
    except ValueError as error:
        raise ChecksumError(
            f"{path.name}: not an ONNX file, or a damaged one; fetch it again ({error})"
        ) from error
    if outside:
        raise CardError(f"{path}: its external data points outside its folder ({outside}); refused")


@lru_cache(maxsize=64)
def _outside(path: Path, size: int, mtime_ns: int) -> str:
    return outside_location(path)


def _walk(view: mmap.mmap, kind: str, start: int, end: int, depth: int) -> Iterator[str]:
    if depth > _DEPTH:
        raise ValueError("messages nested too deeply")
    for field, begin, stop in message_fields(view, start, end):
        inner = _INNER[kind].get(field) if stop else None
        if inner == "entry":
            location = _location(view, begin, stop)
            if location is not None:
                yield location
        elif inner is not None:
            yield from _walk(view, inner, begin, stop, depth + 1)


def _location(view: mmap.mmap, start: int, end: int) -> str | None:
    """Return the value of a StringStringEntryProto whose key is `location`."""
    fields = message_fields(view, start, end)
    texts = {field: view[begin:stop] for field, begin, stop in fields if stop}
    if texts.get(1) != b"location":
        return None
    return texts.get(2, b"").decode("utf-8", "surrogateescape")
