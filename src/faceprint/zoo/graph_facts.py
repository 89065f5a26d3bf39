"""Read the facts of an ONNX graph that `models lint` reports."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceprint._external import outside_location
from faceprint._onnx import reading
from faceprint._optional import require
from faceprint.errors import CardError

__all__ = ["GraphFacts", "Tensor", "read_graph"]

_QUANTIZED = {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DequantizeLinear"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A graph input or output; a dimension is None where it is free."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """The facts of a graph that can be read without running it.

    Attributes:
        batch: "free", or the fixed first dimension of the input.
        parameters: how many numbers the initializers hold.
        leading: operators between the input and the first convolution.
        legacy: traits of old exporters that current runtimes can't handle well.
    """

    name: str
    size: int
    sha256: str
    ir_version: int
    opset: int
    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batch: str
    nodes: int
    parameters: int
    quantized: bool
    leading: tuple[str, ...]
    legacy: tuple[str, ...]


def read_graph(path: Path) -> GraphFacts:
    """Read a graph; its external data is checked but never loaded.

    Raises:
        CardError: not an ONNX graph, or external data that points outside the file's folder.
        MissingExtraError: the onnx package is not installed.
    """
    onnx = require("onnx", extra="onnx")
    with reading(str(path), extra="onnx", kind=CardError):
        try:
            outside = outside_location(path)
        except OSError as error:
            raise CardError(f"{path}: cannot be read ({error.strerror})") from error
        if outside:
            raise CardError(
                f"{path}: its external data points outside its folder ({outside}); refused"
            )
        return _facts(onnx.load(str(path), load_external_data=False), path)


def _facts(model: Any, path: Path) -> GraphFacts:
    if not model.graph.node:
        raise CardError(f"{path}: not an ONNX graph (it has no nodes)")
    graph = model.graph
    initializers = {item.name: tuple(item.dims) for item in graph.initializer}
    inputs = tuple(_tensor(item) for item in graph.input if item.name not in initializers)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    first = inputs[0].shape[:1] if inputs else ()
    return GraphFacts(
        name=path.name,
        size=path.stat().st_size,
        sha256=sha256,
        ir_version=model.ir_version,
        opset=max(
            (o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0
        ),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        inputs=inputs,
        outputs=tuple(_tensor(item) for item in graph.output),
        batch="free" if not first or first[0] is None else str(first[0]),
        nodes=len(graph.node),
        parameters=sum(math.prod(dims) for dims in initializers.values()),
        quantized=any(node.op_type in _QUANTIZED for node in graph.node),
        leading=_leading(graph, {item.name for item in inputs}),
        legacy=_legacy(graph, initializers),
    )


def _tensor(value: Any) -> Tensor:
    if not isinstance(value.name, str):  # protobuf gives bytes for what is no UTF-8
        raise ValueError(f"a name that is not text: {value.name!r}")
    shape = tuple(
        side.dim_value if side.WhichOneof("value") == "dim_value" and side.dim_value > 0 else None
        for side in value.type.tensor_type.shape.dim
    )
    return Tensor(value.name, shape)


def _leading(graph: Any, names: set[str]) -> tuple[str, ...]:
    """Find the operators before the first convolution, which may normalize the input."""
    found: list[str] = []
    for node in graph.node:
        if not names.intersection(node.input):
            continue
        if node.op_type in {"Conv", "QLinearConv", "ConvInteger", "Gemm", "MatMul"}:
            break
        found.append(node.op_type)
        names = names.union(node.output)
        if len(found) == 8:
            break
    return tuple(found)


def _legacy(graph: Any, initializers: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    found = []
    if any(item.name in initializers for item in graph.input):
        found.append("weights are listed as graph inputs")
    for node in graph.node:
        if node.op_type == "BatchNormalization" and any(
            item.name == "spatial" and item.i == 0 for item in node.attribute
        ):
            found.append("BatchNormalization with spatial = 0")
            break
    if any(
        node.op_type == "PRelu" and len(initializers.get(node.input[1], (1, 1, 1))) == 1
        for node in graph.node
    ):
        found.append("PRelu slopes of shape (C,)")
    return tuple(found)
