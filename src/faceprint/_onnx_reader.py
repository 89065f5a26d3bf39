"""Read the outline of an ONNX graph without the onnx package and without loading weights.

Tensor bytes are skipped, so this takes a few milliseconds. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GraphOutline", "NodeOutline", "mapped", "message_fields", "scan"]

_POINTER = b"version https://git-lfs.github.com/spec/"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class NodeOutline:
    """One node: operator, tensor names, and the attributes that are a single integer."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integers: dict[str, int]


@dataclass(frozen=True, slots=True)
class GraphOutline:
    """A graph without its weights.

    Attributes:
        producer: name and version of the exporter.
        dims: shape of every initializer by name.
        inputs, outputs: (name, shape) with None where a dimension is free; old graphs list
            initializers as inputs too.
    """

    ir_version: int
    opset: int
    producer: str
    nodes: tuple[NodeOutline, ...]
    dims: dict[str, tuple[int, ...]]
    inputs: tuple[tuple[str, tuple[int | None, ...]], ...]
    outputs: tuple[tuple[str, tuple[int | None, ...]], ...]

    @property
    def data_inputs(self) -> tuple[tuple[str, tuple[int | None, ...]], ...]:
        """The inputs that are no initializers."""
        return tuple(item for item in self.inputs if item[0] not in self.dims)


def scan(path: Path) -> GraphOutline:
    """Read the outline of a graph.

    Raises:
        ValueError: not an ONNX file, or one that ends too early.
        OSError: not readable.
    """
    with mapped(path) as view:
        return _model(view)


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file's bytes.

    Raises:
        ValueError: the file is empty, or a Git LFS pointer.
        OSError: not readable.
    """
    with path.open("rb") as stream:
        try:
            view = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise ValueError(f"{path.name} is empty") from error
        with view:
            if view[: len(_POINTER)] == _POINTER:
                raise ValueError("a Git LFS pointer; `git lfs pull` fetches the file")
            yield view


def _model(view: mmap.mmap) -> GraphOutline:
    ir_version = opset = 0
    graph = (0, 0)
    producer = ["", ""]
    for field, value, end in message_fields(view, 0, len(view)):
        if field == 1 and end == 0:
            ir_version = value
        elif field in (2, 3):
            producer[field - 2] = _text(view, value, end)
        elif field == 7:
            graph = (value, end)
        elif field == 8:
            opset = max(opset, _opset(view, value, end))
    nodes, dims, inputs, outputs = [], {}, [], []
    for field, begin, end in message_fields(view, *graph):
        if field == 1:
            nodes.append(_node(view, begin, end))
        elif field == 5:
            name, shape = _tensor(view, begin, end)
            dims[name] = shape
        elif field == 11:
            inputs.append(_value(view, begin, end))
        elif field == 12:
            outputs.append(_value(view, begin, end))
    return GraphOutline(
        ir_version=ir_version,
        opset=opset,
        producer=" ".join(producer).strip(),
        nodes=tuple(nodes),
        dims=dims,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )


def _opset(view: mmap.mmap, start: int, end: int) -> int:
    domain, version = "", 0
    for field, value, stop in message_fields(view, start, end):
        if field == 1:
            domain = _text(view, value, stop)
        elif field == 2:
            version = value
    return version if domain in ("", "ai.onnx") else 0


def _node(view: mmap.mmap, start: int, end: int) -> NodeOutline:
    op = ""
    inputs, outputs, integers = [], [], {}
    for field, begin, stop in message_fields(view, start, end):
        if field == 1:
            inputs.append(_text(view, begin, stop))
        elif field == 2:
            outputs.append(_text(view, begin, stop))
        elif field == 4:
            op = _text(view, begin, stop)
        elif field == 5:
            name, number = "", None
            for inner, value, close in message_fields(view, begin, stop):
                if inner == 1:
                    name = _text(view, value, close)
                elif inner == 3:
                    number = value
            if number is not None:
                integers[name] = number
    return NodeOutline(op, tuple(inputs), tuple(outputs), integers)


def _tensor(view: mmap.mmap, start: int, end: int) -> tuple[str, tuple[int, ...]]:
    name, shape = "", []
    for field, value, stop in message_fields(view, start, end):
        if field == 8:
            name = _text(view, value, stop)
        elif field == 1 and stop == 0:
            shape.append(value)
        elif field == 1:
            while value < stop:  # packed
                size, value = _varint(view, value, stop)
                shape.append(size)
    return name, tuple(shape)


def _value(view: mmap.mmap, start: int, end: int) -> tuple[str, tuple[int | None, ...]]:
    """ValueInfoProto: name, type.tensor_type.shape.dim[].dim_value."""
    name = ""
    spans = []
    for field, begin, stop in message_fields(view, start, end):
        if field == 1:
            name = _text(view, begin, stop)
        elif field == 2:
            spans = [(begin, stop)]
    for level in (1, 2, 1):  # tensor_type, shape, dim
        spans = [
            (begin, stop)
            for span in spans
            for field, begin, stop in message_fields(view, *span)
            if field == level and stop
        ]
    shape: list[int | None] = []
    for span in spans:
        sizes = [
            value for field, value, stop in message_fields(view, *span) if field == 1 and not stop
        ]
        shape.append(sizes[0] if sizes and sizes[0] > 0 else None)
    return name, tuple(shape)


def _text(view: mmap.mmap, start: int, end: int) -> str:
    return view[start:end].decode("utf-8", "surrogateescape")


def message_fields(view: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield each field of a message as (number, begin, end), a varint as (number, value, 0).

    Fields of fixed width are skipped.

    Raises:
        ValueError: an unknown wire type, or a field that reaches past the message.
    """
    position = start
    while position < end:
        key, position = _varint(view, position, end)
        wire = key & 7
        if wire == _BYTES:
            length, position = _varint(view, position, end)
            if length > end - position:
                raise ValueError("not an ONNX file: a field is longer than its message")
            yield key >> 3, position, position + length
            position += length
        elif wire == _VARINT:
            value, position = _varint(view, position, end)
            yield key >> 3, value, 0
        elif wire in (_FIXED64, _FIXED32):
            position += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"not an ONNX file: wire type {wire}")
    if position != end:
        raise ValueError("not an ONNX file: a message ends in the middle of a field")


def _varint(view: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("not an ONNX file: a number without an end")
