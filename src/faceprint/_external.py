"""Where an ONNX file's external data lies, read from the protobuf itself.

A walk over the message that skips tensor bytes: no graph is built, nothing is loaded, and the onnx
package is not needed. Field numbers are those of onnx.proto3. Runtimes differ in what they skip and
in which paths they follow, so what this walk can't read is refused for all of them.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from faceprint._onnx_reader import mapped, varint
from faceprint.errors import CardError, ChecksumError

__all__ = ["external_locations", "outside_location", "refuse_outside"]

_DEPTH = 32
"""Graphs nested in graphs (If, Loop) deeper than this are refused."""

# Message kind -> field number -> kind of the message in it. "" marks the entry that is wanted.
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
    """Every distinct `location` of external data that a model names, sorted.

    Raises:
        ValueError: not a protobuf message.
        OSError: not readable.
    """
    with mapped(path) as view:
        return tuple(sorted(set(_walk(view, "model", 0, len(view), 0))))


def outside_location(path: Path) -> str:
    """The first location of external data that leads out of the model's folder, "" for none.

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
    """Refuse a model whose external data leads out of its folder, or that can't be read.

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
    inner = _INNER[kind]
    for field, begin, stop in _fields(view, start, end):
        wanted = inner.get(field)
        if wanted == "entry":
            location = _location(view, begin, stop)
            if location is not None:
                yield location
        elif wanted is not None:
            yield from _walk(view, wanted, begin, stop, depth + 1)


def _location(view: mmap.mmap, start: int, end: int) -> str | None:
    """The value of a StringStringEntryProto whose key is `location`."""
    texts = {field: view[begin:stop] for field, begin, stop in _fields(view, start, end)}
    if texts.get(1) != b"location":
        return None
    return texts.get(2, b"").decode("utf-8", "surrogateescape")


def _fields(view: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, begin, end) of the length-delimited fields of a message; others are skipped."""
    position = start
    while position < end:
        key, position = varint(view, position, end)
        wire = key & 7
        if wire == 2:
            length, position = varint(view, position, end)
            if length > end - position:
                raise ValueError("not an ONNX file: a field is longer than its message")
            yield key >> 3, position, position + length
            position += length
        elif wire == 0:
            _, position = varint(view, position, end)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise ValueError(f"not an ONNX file: wire type {wire}")
    if position != end:
        raise ValueError("not an ONNX file: a message ends in the middle of a field")
