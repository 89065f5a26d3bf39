"""Exact rewrites that make a sound graph faster on ONNX Runtime's CPU kernels.

Each takes a model of the onnx package and changes it in place. "Exact" is meant as algebra: what is
multiplied beforehand rounds once less or once more, so outputs agree to float32's rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceprint.zoo.graph_view import GraphView, depthwise
from faceprint.zoo.legacy_passes import (
    Pass,
    add_weight,
    delist_weights,
    drop_dropout,
    drop_unused,
    raise_opset,
    replace_items,
)
from faceprint.zoo.prelu_passes import prelu_into_convolutions, prelu_into_relu

if TYPE_CHECKING:
    from faceprint.types import Array
    from faceprint.zoo.legacy import Plan

__all__ = ["FOR_INT8", "STEPS"]

_BLOCK = 16


def norm_into_weights(model: Any, plan: Plan) -> None:
    """A BatchNormalization behind a convolution or a dense layer becomes part of its weights."""
    graph = model.graph
    view, gone = GraphView(graph), []
    for node in graph.node:
        if node.op_type != "BatchNormalization" or len(node.output) != 1:
            continue
        maker = view.sole_maker(node.input[0], "Conv", "Gemm")
        if maker is None or (maker.op_type == "Gemm" and not _plain_gemm(maker)):
            continue
        terms = _norm_terms(node, view)
        weight = view.weight(maker.input[1])
        old = view.weight(maker.input[2]) if len(maker.input) > 2 and maker.input[2] else 0.0
        if weight is None or old is None or terms is None:
            continue
        factor, offset = terms
        if np.size(old) not in (1, len(factor)):
            continue
        axis = 0 if maker.op_type == "Conv" or _attribute(maker, "transB", 0) else 1
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        bias = np.asarray(old, np.float64).reshape(-1) * factor + offset
        _set_weights(graph, maker, weight * factor.reshape(shape), bias)
        maker.output[0] = node.output[0]
        gone.append(node.output[0])
    _drop(graph, "BatchNormalization", gone)


def scale_into_weights(model: Any, plan: Plan) -> None:
    """Constants multiplied onto a convolution's input, or added to it where nothing is padded."""
    graph = model.graph
    view, gone = GraphView(graph), set()
    for node in graph.node:
        if node.op_type != "Conv" or _attribute(node, "group", 1) != 1:
            continue
        while True:
            ops = ("Mul", "Div") if _padded(node) else ("Mul", "Div", "Add", "Sub")
            maker = view.sole_maker(node.input[0], *ops)
            weight = view.weight(node.input[1])
            old = view.weight(node.input[2]) if len(node.input) > 2 and node.input[2] else 0.0
            constant = None if maker is None else _channels(view.weight(maker.input[1]))
            if constant is None or weight is None or old is None or weight.ndim != 4:
                break
            if constant.size not in (1, weight.shape[1]):
                break
            bias = np.zeros(len(weight)) + old
            new = np.asarray(weight, np.float64)
            if maker.op_type in ("Mul", "Div"):
                new = new * (constant if maker.op_type == "Mul" else 1 / constant)
            else:
                shift = constant if maker.op_type == "Add" else -constant
                bias = bias + (new * shift).sum(axis=(1, 2, 3))
            gone.add(maker.output[0])
            node.input[0] = maker.input[0]
            _set_weights(graph, node, new, bias)
            view.learn(graph.initializer[-2:])
    replace_items(graph.node, [n for n in graph.node if n.output[0] not in gone])


def norm_into_depthwise(model: Any, plan: Plan) -> None:
    """A BatchNormalization over feature maps that is left becomes a depthwise 1 x 1 convolution.

    ONNX Runtime does so itself for float32; written out, it can be quantized like any other.
    """
    from onnx import shape_inference

    graph = model.graph
    shaped = shape_inference.infer_shapes(model).graph
    ranks = {item.name: len(item.type.tensor_type.shape.dim) for item in shaped.value_info}
    view, kept = GraphView(graph), []
    for node in graph.node:
        known = node.op_type == "BatchNormalization" and ranks.get(node.input[0]) == 4
        terms = _norm_terms(node, view) if known and len(node.output) == 1 else None
        if terms is None:
            kept.append(node)
            continue
        kept.append(depthwise(graph, node.input[0], node.output[0], *terms))
    replace_items(graph.node, kept)


def groups_into_blocks(model: Any, plan: Plan) -> None:
    """Convolutions in groups of few channels become groups of 16, filled up with zeros.

    ONNX Runtime's blocked layout has depthwise convolutions and groups of whole blocks (16 channels
    with AVX-512, 8 without). Any other leaves it, which costs more than multiplying by zeros.
    """
    view = GraphView(model.graph)
    for node in model.graph.node:
        groups = _attribute(node, "group", 1) if node.op_type == "Conv" else 1
        weight = view.weight(node.input[1]) if groups > 1 else None
        if weight is None or weight.ndim != 4:
            continue
        outputs, inputs = weight.shape[0] // groups, weight.shape[1]
        together = _BLOCK // inputs
        if (inputs, outputs) == (1, 1) or _BLOCK % inputs or groups % together:
            continue
        if together == 1 or outputs * together % _BLOCK:
            continue
        wide = np.zeros((len(weight), _BLOCK, *weight.shape[2:]), np.float32)
        for row, kernel in enumerate(weight):
            start = row // outputs % together * inputs
            wide[row, start : start + inputs] = kernel
        name = f"{node.output[0]}/blocks"
        add_weight(model.graph, name, wide)
        node.input[1] = name
        for item in node.attribute:
            if item.name == "group":
                item.i = groups // together


FOLDS: tuple[Pass, ...] = (
    drop_dropout,
    delist_weights,
    norm_into_weights,
    scale_into_weights,
    drop_unused,
)
"""What makes a graph smaller on any runtime, in the order in which they run."""

STEPS: tuple[Pass, ...] = (*FOLDS, groups_into_blocks, prelu_into_relu, drop_unused)
"""What `optimize.rewrite` does."""

FOR_INT8: tuple[Pass, ...] = (
    *FOLDS,
    prelu_into_convolutions,
    norm_into_depthwise,
    drop_unused,
    raise_opset,
)
"""What comes before quantizing: what is left is convolutions, dense layers, sums and Relu."""


def _norm_terms(
    node: Any, view: GraphView
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A BatchNormalization as y = factor * x + offset, (C,) each; None without its statistics."""
    parts = [w for name in node.input[1:5] if (w := view.weight(name)) is not None]
    if len(parts) < 4:
        return None
    gamma, beta, mean, variance = (np.asarray(part, np.float64) for part in parts)
    factor = gamma / np.sqrt(variance + _attribute(node, "epsilon", 1e-5))
    return factor, beta - mean * factor


def _set_weights(
    graph: Any, node: Any, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> None:
    """New weights under new names: the old ones may have other readers."""
    stem = f"{node.output[0]}/folded{len(graph.initializer)}"
    add_weight(graph, f"{stem}_weight", np.ascontiguousarray(weight, np.float32))
    add_weight(graph, f"{stem}_bias", np.ascontiguousarray(bias, np.float32))
    replace_inputs = [node.input[0], f"{stem}_weight", f"{stem}_bias"]
    del node.input[:]
    node.input.extend(replace_inputs)


def _drop(graph: Any, op: str, outputs: list[str]) -> None:
    """Take out nodes of an operator whose result another node makes now."""
    gone = set(outputs)
    kept = [n for n in graph.node if n.op_type != op or n.output[0] not in gone]
    replace_items(graph.node, kept)


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    found = (helper.get_attribute_value(item) for item in node.attribute if item.name == name)
    return next(found, default)


def _plain_gemm(node: Any) -> bool:
    ones = _attribute(node, "alpha", 1.0) == 1.0 == _attribute(node, "beta", 1.0)
    return ones and not _attribute(node, "transA", 0)


def _padded(node: Any) -> bool:
    automatic = _attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    return automatic or any(_attribute(node, "pads", ()))


def _channels(value: Array | None) -> NDArray[np.float64] | None:
    """A constant of one number, or of one for each channel, along a weight's input channels."""
    if value is None or value.size == 1:
        return None if value is None else value.astype(np.float64).reshape(1, 1, 1, 1)
    count = value.size
    if value.shape in ((count, 1, 1), (1, count, 1, 1)):
        return value.astype(np.float64).reshape(1, count, 1, 1)
    return None
