"""The steps that make an old graph new; each takes a model of the onnx package and changes it.

A step must be exact: the rewritten graph computes what its author meant, to the last rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint._external import refuse_outside
from faceprint._onnx import reading
from faceprint._optional import require
from faceprint.errors import CardError

if TYPE_CHECKING:
    from faceprint.types import Array
    from faceprint.zoo.legacy import Plan

__all__ = ["PASSES", "Pass", "add_weight", "replace_items", "rewrite"]

Pass = Callable[[Any, "Plan"], None]
"""(onnx.ModelProto, plan) -> None; changes the model in place."""

_IR = 8
_OPSET = 17
# Operators whose meaning at inference did not change between opset 7 and 17, with the attributes
# that old graphs have: for these a newer number is the whole conversion.
_STABLE = {
    "Add", "AveragePool", "BatchNormalization", "Conv", "Div", "Flatten", "Gemm",
    "GlobalAveragePool", "Identity", "LeakyRelu", "MatMul", "MaxPool", "Mul", "PRelu", "Relu",
    "Reshape", "Sigmoid", "Sub",
}  # fmt: skip


def rewrite(model: Path, plan: Plan, steps: Sequence[Pass] | None = None) -> bytes:
    """The rewritten file's bytes, weights inside.

    Args:
        steps: what is done; `PASSES` when None.

    Raises:
        MissingExtraError: the onnx package is not installed.
        CardError: the file is not a graph, or comes out of the rewriting unsound.
    """
    onnx = require("onnx", extra="onnx")
    with reading(str(model), extra="onnx", kind=CardError):
        refuse_outside(model)
        proto = onnx.load(str(model))
        for step in PASSES if steps is None else steps:
            step(proto, plan)
        content: bytes = proto.SerializeToString(deterministic=True)
        try:
            onnx.checker.check_model(content)
        except onnx.checker.ValidationError as error:
            reason = str(error).strip().splitlines()[0]
            raise CardError(
                f"{model}: can't be rewritten for today's runtimes ({reason})"
            ) from error
    return content


def drop_dropout(model: Any, plan: Plan) -> None:
    """Dropout is the identity at inference; so is Identity."""
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


def plain_batch_norm(model: Any, plan: Plan) -> None:
    """`spatial = 0` goes; with statistics for each pixel it becomes a product and a sum.

    Exporters wrote `spatial = 0` beside statistics of shape (C,), meaning one for each channel.
    The older standard's own meaning, statistics of shape (C, H, W), is kept where they have it.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            kept.append(node)
            continue
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        del node.output[1:]
        replace_items(node.attribute, [a for a in node.attribute if a.name == "epsilon"])
        if attributes.get("spatial", 1) != 0 or len(weights[node.input[1]].dims) == 1:
            kept.append(node)
            continue
        gamma, beta, mean, variance = (
            numpy_helper.to_array(weights[name]).astype(np.float64) for name in node.input[1:5]
        )
        factor = gamma / np.sqrt(variance + attributes.get("epsilon", 1e-5))
        name = node.output[0]
        add_weight(graph, f"{name}/factor", factor.astype(np.float32))
        add_weight(graph, f"{name}/offset", (beta - mean * factor).astype(np.float32))
        product, total = f"{name}/product", [name]
        kept.append(helper.make_node("Mul", [node.input[0], f"{name}/factor"], [product]))
        kept.append(helper.make_node("Add", [product, f"{name}/offset"], total))
    replace_items(graph.node, kept)


def tall_slopes(model: Any, plan: Plan) -> None:
    """PRelu slopes (C,) on feature maps become (C, 1, 1), which broadcasts over the channels."""
    for item in model.graph.initializer:
        if item.name in plan.flat_slopes:
            item.dims.extend([1, 1])


def free_batch(model: Any, plan: Plan) -> None:
    """The batch is given a name instead of a number, also where a Reshape repeats it."""
    from onnx import helper, numpy_helper

    if plan.fixed_batch is None:
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
        if shape[0] == plan.fixed_batch:
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


def delist_weights(model: Any, plan: Plan) -> None:
    """Weights that are inputs too can be overridden, so nothing may be folded into them."""
    weights = {item.name for item in model.graph.initializer}
    replace_items(model.graph.input, [i for i in model.graph.input if i.name not in weights])
    model.ir_version = max(model.ir_version, _IR)


def raise_opset(model: Any, plan: Plan) -> None:
    """The operator set's number, where every operator in the graph kept its meaning."""
    for item in model.opset_import:
        if (
            item.domain in ("", "ai.onnx")
            and 7 <= item.version < _OPSET
            and all(node.op_type in _STABLE for node in model.graph.node)
        ):
            item.version = _OPSET


def drop_unused(model: Any, plan: Plan) -> None:
    """Weights and constants that nothing reads any more."""
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


def replace_items(field: Any, items: list[Any]) -> None:
    """Give a repeated field new contents, which may be parts of the old."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)


def add_weight(graph: Any, name: str, value: Array) -> None:
    """One more initializer."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(value, name))
