"""Passes that write PRelu on feature maps with operators that ONNX Runtime runs fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint.zoo.graph_editing import GraphView, depthwise, replace_items
from faceprint.zoo.graph_traits import LegacyTraits

if TYPE_CHECKING:
    from faceprint.types import Array

__all__ = ["prelu_into_convolutions", "prelu_into_relu"]


def prelu_into_relu(model: Any, traits: LegacyTraits) -> None:
    """Write PRelu as x + DW(1 - a)(Relu(DW(-1)(x))), where DW is a depthwise 1 x 1 convolution.

    ONNX Runtime has no vectorized PRelu and none in its blocked layout, so each also costs two
    reorderings. The convolutions stay in that layout and need two passes over the map: the Relu is
    fused into the first and the sum into the second. One slope for all channels is a LeakyRelu,
    which is fused into the convolution before it.
    """
    _replace_prelu(model.graph, _as_remainder)


def prelu_into_convolutions(model: Any, traits: LegacyTraits) -> None:
    """Write PRelu with slopes up to 1 as DW(a)(x) + Relu(DW(1 - a)(x)), for int8.

    Both terms stay within the range of the map, which its scales have to cover.
    """
    _replace_prelu(model.graph, _as_convolutions)


def _replace_prelu(graph: Any, write: Callable[[Any, str, str, Array], list[Any]]) -> None:
    from onnx import helper

    view, kept = GraphView(graph), []
    for node in graph.node:
        slope = view.weight(node.input[1]) if node.op_type == "PRelu" else None
        count = 0 if slope is None else slope.size
        x, result = node.input[0], node.output[0]
        if slope is not None and count == 1:
            alpha = float(slope.reshape(()))
            kept.append(helper.make_node("LeakyRelu", [x], [result], name=node.name, alpha=alpha))
        elif slope is not None and slope.shape in ((count, 1, 1), (1, count, 1, 1)):
            kept += write(graph, x, result, slope.reshape(count))
        else:
            kept.append(node)
    replace_items(graph.node, kept)
    del graph.value_info[:]


def _as_remainder(graph: Any, x: str, result: str, slope: Array) -> list[Any]:
    negated, below, lift = (f"{result}/{part}" for part in ("negated", "below", "lift"))
    return [
        depthwise(graph, x, negated, np.full_like(slope, -1)),
        _node("Relu", [negated], below),
        depthwise(graph, below, lift, 1 - slope),
        _node("Add", [x, lift], result),
    ]


def _as_convolutions(graph: Any, x: str, result: str, slope: Array) -> list[Any]:
    if (slope > 1).any():
        return _as_remainder(graph, x, result, slope)
    rest, above, line = (f"{result}/{part}" for part in ("rest", "above", "line"))
    return [
        depthwise(graph, x, line, slope),
        depthwise(graph, x, rest, 1 - slope),
        _node("Relu", [rest], above),
        _node("Add", [line, above], result),
    ]


def _node(op: str, inputs: list[str], output: str) -> Any:
    from onnx import helper

    return helper.make_node(op, inputs, [output], name=output)
