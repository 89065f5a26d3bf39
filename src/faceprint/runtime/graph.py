"""Read ONNX files as steps over arrays, for the runtimes without an importer (PyTorch, MXNet)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint._onnx import reading
from faceprint._optional import require
from faceprint.errors import CardError, ChecksumError
from faceprint.runtime.session import TensorSpec

__all__ = ["Graph", "Step", "load_graph"]


@dataclass(frozen=True, slots=True)
class Step:
    """One node; `name` is for messages. Tensor attributes are arrays, texts are bytes."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Steps in order, weights and constants by name, and the inputs that are no weights."""

    steps: tuple[Step, ...]
    weights: Mapping[str, NDArray[Any]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int


def load_graph(model: Path, *, extra: str) -> Graph:
    """Read a file with its weights.

    Args:
        extra: the extra that installs the onnx package for this runtime.

    Raises:
        MissingExtraError: the onnx package is not installed.
        ChecksumError: not an ONNX file, or a damaged one.
        CardError: operators of another domain than ONNX's own.
    """
    onnx = require("onnx", extra=extra)
    with reading(model.name, extra=extra, kind=ChecksumError):
        return _graph(onnx, onnx.load(str(model)), model)


def _graph(onnx: Any, proto: Any, model: Path) -> Graph:
    if not proto.graph.node:
        raise ChecksumError(f"{model.name}: not an ONNX file; it has no nodes; fetch it again")
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in proto.graph.initializer}
    steps = []
    for i, node in enumerate(proto.graph.node):
        if node.domain not in ("", "ai.onnx"):
            raise CardError(f"{model.name}: {node.domain}.{node.op_type} is not an ONNX operator")
        attributes = {item.name: _attribute(onnx, item) for item in node.attribute}
        if node.op_type == "Constant":
            weights[node.output[0]] = _constant(attributes)
            continue
        name = f"{node.op_type} {node.name or i}"
        steps.append(Step(name, node.op_type, tuple(node.input), tuple(node.output), attributes))
    return Graph(
        tuple(steps),
        weights,
        tuple(_spec(item) for item in proto.graph.input if item.name not in weights),
        tuple(_spec(item) for item in proto.graph.output),
        max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=1),
    )


def _attribute(onnx: Any, item: Any) -> Any:
    if item.type == onnx.AttributeProto.TENSOR:
        return onnx.numpy_helper.to_array(item.t)
    return onnx.helper.get_attribute_value(item)


def _constant(attributes: Mapping[str, Any]) -> NDArray[Any]:
    (name, value), *_ = attributes.items()
    if name in ("value_int", "value_ints"):
        return np.asarray(value, np.int64)
    if name in ("value_float", "value_floats"):
        return np.asarray(value, np.float32)
    return np.asarray(value)


def _spec(item: Any) -> TensorSpec:
    if not isinstance(item.name, str):  # protobuf gives bytes for what is no UTF-8
        raise ValueError(f"a name that is not text: {item.name!r}")
    sizes = [dim.dim_value for dim in item.type.tensor_type.shape.dim]
    return TensorSpec(item.name, tuple(size if size > 0 else None for size in sizes))
