"""Passes that modernize an old graph; each takes a model of the onnx package and changes it.

A pass must be exact: the rewritten graph computes what the original means, to the last rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from faceprint.zoo.graph_editing import Pass, add_weight, attribute, replace_items
from faceprint.zoo.graph_traits import LegacyTraits

__all__ = ["PASSES", "delist_weights", "drop_dropout", "drop_unused", "raise_opset"]

_IR = 8
_OPSET = 17
# Operators whose meaning at inference did not change between opset 7 and 17, with the attributes
# that old graphs have: for these a newer number is the whole conversion.
_STABLE = {
    "Add", "AveragePool", "BatchNormalization", "Conv", "Div", "Flatten", "Gemm",
    "GlobalAveragePool", "Identity", "LeakyRelu", "MatMul", "MaxPool", "Mul", "PRelu", "Relu",
    "Reshape", "Sigmoid", "Sub",
}  # fmt: skip


def drop_dropout(model: Any, traits: LegacyTraits) -> None:
    """Remove Dropout and Identity: both copy their input at inference."""
    graph = model.graph
    results = {item.name for item in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
        if node.op_type in ("Dropout", "Identity") and node.output[0] not in results:
            renamed[node.output[0]] = node.input[0]
        elif node.op_type == "Dropout":
            del node.input[1:], node.output[1:], node.attribute[:]
            node.op_type = "Identity"
            kept.append(node)
        else:
            kept.append(node)
    replace_items(graph.node, kept)


def plain_batch_norm(model: Any, traits: LegacyTraits) -> None:
    """Remove `spatial = 0`; with statistics for each pixel, write a product and a sum instead.

    Exporters wrote `spatial = 0` beside statistics of shape (C,), meaning one for each channel. The
    standard meant statistics of shape (C, H, W); graphs that have those keep that meaning.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            kept.append(node)
            continue
        spatial, epsilon = attribute(node, "spatial", 1), attribute(node, "epsilon", 1e-5)
        del node.output[1:]
        replace_items(node.attribute, [a for a in node.attribute if a.name == "epsilon"])
        if spatial != 0 or len(weights[node.input[1]].dims) == 1:
            kept.append(node)
            continue
        gamma, beta, mean, variance = (
            numpy_helper.to_array(weights[name]).astype(np.float64) for name in node.input[1:5]
        )
        factor = gamma / np.sqrt(variance + epsilon)
        name = node.output[0]
        add_weight(graph, f"{name}/factor", factor.astype(np.float32))
        add_weight(graph, f"{name}/offset", (beta - mean * factor).astype(np.float32))
        product, total = f"{name}/product", [name]
        kept.append(helper.make_node("Mul", [node.input[0], f"{name}/factor"], [product]))
        kept.append(helper.make_node("Add", [product, f"{name}/offset"], total))
    replace_items(graph.node, kept)


def tall_slopes(model: Any, traits: LegacyTraits) -> None:
    """Give PRelu slopes (C,) on feature maps the shape (C, 1, 1), which broadcasts by channel."""
    for item in model.graph.initializer:
        if item.name in traits.flat_slopes:
            item.dims.extend([1, 1])


def free_batch(model: Any, traits: LegacyTraits) -> None:
    """Replace the fixed batch size by a name, also where a Reshape repeats it."""
    from onnx import helper, numpy_helper

    if traits.fixed_batch is None:
        return
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    constants = {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        source = weights.get(node.input[1]) or constants.get(node.input[1])
        if source is None:
            return
        shape = numpy_helper.to_array(source).astype(np.int64)
        if shape[0] == traits.fixed_batch:
            shape[0] = 0 if -1 in shape else -1
            name = f"{node.output[0]}/shape"
            graph.initializer.append(numpy_helper.from_array(shape, name))
            node.input[1] = name
    for item in [*graph.input, *graph.output]:
        if item.name not in weights:
            shape_proto = item.type.tensor_type.shape
            sizes = [d.dim_param or d.dim_value for d in shape_proto.dim]
            kind = item.type.tensor_type.elem_type
            item.CopyFrom(helper.make_tensor_value_info(item.name, kind, ["batch", *sizes[1:]]))
    del graph.value_info[:]


def delist_weights(model: Any, traits: LegacyTraits) -> None:
    """Remove weights from the inputs: what can be overridden can't be folded."""
    weights = {item.name for item in model.graph.initializer}
    replace_items(model.graph.input, [i for i in model.graph.input if i.name not in weights])
    model.ir_version = max(model.ir_version, _IR)


def raise_opset(model: Any, traits: LegacyTraits) -> None:
    """Raise the opset version, where every operator in the graph kept its meaning."""
    for item in model.opset_import:
        if (
            item.domain in ("", "ai.onnx")
            and 7 <= item.version < _OPSET
            and all(node.op_type in _STABLE for node in model.graph.node)
        ):
            item.version = _OPSET


def drop_unused(model: Any, traits: LegacyTraits) -> None:
    """Remove weights and constants that no node reads."""
    graph = model.graph
    read = {name for node in graph.node for name in node.input}
    read |= {item.name for item in graph.output}
    replace_items(
        graph.node, [n for n in graph.node if n.op_type != "Constant" or n.output[0] in read]
    )
    unread = [i for i, item in enumerate(graph.initializer) if item.name not in read]
    for i in reversed(unread):
        del graph.initializer[i]


PASSES: tuple[Pass, ...] = (
    drop_dropout,
    plain_batch_norm,
    tall_slopes,
    free_batch,
    delist_weights,
    drop_unused,
    raise_opset,
)
"""In the order in which they run."""
