"""Passes that make a graph faster on ONNX Runtime's CPU kernels, or ready for quantizing.

Each takes a model of the onnx package and changes it in place. They are exact as algebra: constants
that are multiplied beforehand round differently, so outputs agree to float32's rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceprint.zoo.graph_editing import (
    GraphView,
    Pass,
    add_weight,
    attribute,
    depthwise,
    replace_items,
)
from faceprint.zoo.graph_traits import LegacyTraits
from faceprint.zoo.legacy_passes import delist_weights, drop_dropout, drop_unused, raise_opset
from faceprint.zoo.prelu_passes import prelu_into_convolutions, prelu_into_relu

if TYPE_CHECKING:
    from faceprint.types import Array

__all__ = ["FOR_INT8", "STEPS"]

_BLOCK = 16


def norm_into_weights(model: Any, traits: LegacyTraits) -> None:
    """Fold a BatchNormalization into the weights of the convolution or dense layer before it."""
    graph = model.graph
    view, gone = GraphView(graph), set()
    for node in graph.node:
        if node.op_type != "BatchNormalization" or len(node.output) != 1:
            continue
        maker = view.sole_maker(node.input[0], "Conv", "Gemm")
        if maker is None or (maker.op_type == "Gemm" and not _plain_gemm(maker)):
            continue
        terms = _norm_terms(node, view)
        weight = view.weight(maker.input[1])
        old = view.bias(maker)
        if weight is None or old is None or terms is None:
            continue
        factor, offset = terms
        if np.size(old) not in (1, len(factor)):
            continue
        axis = 0 if maker.op_type == "Conv" or attribute(maker, "transB", 0) else 1
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        bias = np.asarray(old, np.float64).reshape(-1) * factor + offset
        _set_weights(graph, maker, weight * factor.reshape(shape), bias)
        maker.output[0] = node.output[0]
        gone.add(node.output[0])
    replace_items(
        graph.node,
        [n for n in graph.node if n.op_type != "BatchNormalization" or n.output[0] not in gone],
    )


def scale_into_weights(model: Any, traits: LegacyTraits) -> None:
    """Fold constants that scale a convolution's input, or shift it where nothing is padded."""
    graph = model.graph
    view, gone = GraphView(graph), set()
    for node in graph.node:
        if node.op_type != "Conv" or attribute(node, "group", 1) != 1:
            continue
        while True:
            ops = ("Mul", "Div") if _padded(node) else ("Mul", "Div", "Add", "Sub")
            maker = view.sole_maker(node.input[0], *ops)
            weight = view.weight(node.input[1])
            old = view.bias(node)
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
            view.add_weights(graph.initializer[-2:])
    replace_items(graph.node, [n for n in graph.node if n.output[0] not in gone])


def norm_into_depthwise(model: Any, traits: LegacyTraits) -> None:
    """Write each remaining BatchNormalization on feature maps as a depthwise 1 x 1 convolution.

    ONNX Runtime does this itself for float32. As a convolution it can be quantized.
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


def groups_into_blocks(model: Any, traits: LegacyTraits) -> None:
    """Widen grouped convolutions of few channels to groups of 16, padded with zeros.

    ONNX Runtime's blocked layout supports depthwise convolutions and groups of whole blocks (16
    channels with AVX-512, 8 without). Leaving the layout costs more than multiplying by zeros.
    """
    view = GraphView(model.graph)
    for node in model.graph.node:
        groups = attribute(node, "group", 1) if node.op_type == "Conv" else 1
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
"""Passes that make a graph smaller on any runtime, in order."""

STEPS: tuple[Pass, ...] = (*FOLDS, groups_into_blocks, prelu_into_relu, drop_unused)
"""The passes of `optimize.rewrite`, in order."""

FOR_INT8: tuple[Pass, ...] = (
    *FOLDS,
    prelu_into_convolutions,
    norm_into_depthwise,
    drop_unused,
    raise_opset,
)
"""The passes before quantizing; they leave convolutions, dense layers, sums and Relu."""


def _norm_terms(
    node: Any, view: GraphView
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return factor and offset, (C,) each, of y = factor * x + offset; None without statistics."""
    parts = [w for name in node.input[1:5] if (w := view.weight(name)) is not None]
    if len(parts) < 4:
        return None
    gamma, beta, mean, variance = (np.asarray(part, np.float64) for part in parts)
    factor = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    return factor, beta - mean * factor


def _set_weights(
    graph: Any, node: Any, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> None:
    """Give a layer new weights under new names: other nodes may read the old ones."""
    stem = f"{node.output[0]}/folded{len(graph.initializer)}"
    add_weight(graph, f"{stem}_weight", np.ascontiguousarray(weight, np.float32))
    add_weight(graph, f"{stem}_bias", np.ascontiguousarray(bias, np.float32))
    node.input[:] = [node.input[0], f"{stem}_weight", f"{stem}_bias"]


def _plain_gemm(node: Any) -> bool:
    ones = attribute(node, "alpha", 1.0) == 1.0 == attribute(node, "beta", 1.0)
    return ones and not attribute(node, "transA", 0)


def _padded(node: Any) -> bool:
    automatic = attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    return automatic or any(attribute(node, "pads", ()))


def _channels(value: Array | None) -> NDArray[np.float64] | None:
    """Shape a constant (one number, or one per channel) along a weight's input channels."""
    if value is None or value.size == 1:
        return None if value is None else value.astype(np.float64).reshape(1, 1, 1, 1)
    count = value.size
    if value.shape in ((count, 1, 1), (1, count, 1, 1)):
        return value.astype(np.float64).reshape(1, count, 1, 1)
    return None
