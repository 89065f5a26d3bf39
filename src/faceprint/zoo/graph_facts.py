"""Read the facts of an ONNX graph that `models lint` reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from faceprint._external import outside_location
from faceprint._onnx_reader import GraphOutline, scan
from faceprint.errors import CardError
from faceprint.zoo.graph_traits import legacy_traits
from faceprint.zoo.store import file_sha256

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
    """
    try:
        outside = outside_location(path)
        if outside:
            raise CardError(
                f"{path}: its external data points outside its folder ({outside}); refused"
            )
        return _facts(scan(path), path)
    except OSError as error:
        raise CardError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        if isinstance(error, CardError):
            raise
        raise CardError(f"{path}: not an ONNX graph, or a damaged one ({error})") from error


def _facts(outline: GraphOutline, path: Path) -> GraphFacts:
    if not outline.nodes:
        raise ValueError("it has no nodes")
    if any(side >= 1 << 63 for dims in outline.dims.values() for side in dims):
        raise ValueError("a weight with a negative dimension")
    inputs = tuple(Tensor(*item) for item in outline.data_inputs)
    outputs = tuple(Tensor(*item) for item in outline.outputs)
    for item in (*inputs, *outputs):
        item.name.encode()  # refuses names that are not UTF-8
    first = inputs[0].shape[:1] if inputs else ()
    return GraphFacts(
        name=path.name,
        size=path.stat().st_size,
        sha256=file_sha256(path),
        ir_version=outline.ir_version,
        opset=outline.opset,
        producer=outline.producer,
        inputs=inputs,
        outputs=outputs,
        batch="free" if not first or first[0] is None else str(first[0]),
        nodes=len(outline.nodes),
        parameters=sum(math.prod(dims) for dims in outline.dims.values()),
        quantized=any(node.op in _QUANTIZED for node in outline.nodes),
        leading=_leading(outline, {item.name for item in inputs}),
        legacy=_legacy(outline),
    )


def _leading(outline: GraphOutline, names: set[str]) -> tuple[str, ...]:
    """Find the operators before the first convolution, which may normalize the input."""
    found: list[str] = []
    for node in outline.nodes:
        if not names.intersection(node.inputs):
            continue
        if node.op in {"Conv", "QLinearConv", "ConvInteger", "Gemm", "MatMul"}:
            break
        found.append(node.op)
        names = names.union(node.outputs)
        if len(found) == 8:
            break
    return tuple(found)


def _legacy(outline: GraphOutline) -> tuple[str, ...]:
    found = []
    if any(name in outline.dims for name, _ in outline.inputs):
        found.append("weights are listed as graph inputs")
    if legacy_traits(outline).spatial:
        found.append("BatchNormalization with spatial = 0")
    if any(
        node.op == "PRelu" and len(outline.dims.get(node.inputs[1], ())) == 1
        for node in outline.nodes
    ):
        found.append("PRelu slopes of shape (C,)")
    return tuple(found)
