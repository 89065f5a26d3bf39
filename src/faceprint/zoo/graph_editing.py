"""Edit graphs of the onnx package: run passes over a file, look up tensors, replace nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceprint._external import refuse_outside
from faceprint._onnx import reading
from faceprint._optional import require
from faceprint.errors import CardError
from faceprint.zoo.graph_traits import LegacyTraits

if TYPE_CHECKING:
    from faceprint.types import Array

__all__ = [
    "GraphView",
    "Pass",
    "add_weight",
    "attribute",
    "depthwise",
    "replace_items",
    "rewrite",
]

Pass = Callable[[Any, LegacyTraits], None]
"""(onnx.ModelProto, traits) -> None; changes the model in place."""


def rewrite(model: Path, traits: LegacyTraits, passes: Sequence[Pass]) -> bytes:
    """Run passes over a model file and return the new file's bytes, weights inside.

    Raises:
        MissingExtraError: the onnx package is not installed.
        CardError: the file is not a graph, or the result is not a valid one.
    """
    onnx = require("onnx", extra="onnx")
    with reading(str(model), extra="onnx", kind=CardError):
        refuse_outside(model)
        proto = onnx.load(str(model))
        for each in passes:
            each(proto, traits)
        content: bytes = proto.SerializeToString(deterministic=True)
        try:
            onnx.checker.check_model(content)
        except onnx.checker.ValidationError as error:
            reason = str(error).strip().splitlines()[0]
            raise CardError(
                f"{model}: can't be rewritten for current runtimes ({reason})"
            ) from error
    return content


class GraphView:
    """Which node makes each tensor, how many read it, and the float32 weights."""

    def __init__(self, graph: Any) -> None:
        from onnx import TensorProto

        self.makers = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, int] = {}
        for name in [name for node in graph.node for name in node.input]:
            self.readers[name] = self.readers.get(name, 0) + 1
        for item in graph.output:
            self.readers[item.name] = self.readers.get(item.name, 0) + 1
        self._float = TensorProto.FLOAT
        self._weights: dict[str, Any] = {}
        self.add_weights(graph.initializer)

    def add_weights(self, initializers: Iterable[Any]) -> None:
        """Take note of initializers that were added to the graph."""
        self._weights |= {i.name: i for i in initializers if i.data_type == self._float}

    def weight(self, name: str) -> Array | None:
        """Return a float32 weight; None for anything else."""
        from onnx import numpy_helper

        item = self._weights.get(name)
        return None if item is None else numpy_helper.to_array(item)

    def bias(self, node: Any) -> Array | float | None:
        """Return a layer's bias, 0 without one; None where it is no float32 weight."""
        return self.weight(node.input[2]) if len(node.input) > 2 and node.input[2] else 0.0

    def sole_maker(self, name: str, *ops: str) -> Any:
        """Return the node that makes a tensor, if it has one of these operators and one reader."""
        node = self.makers.get(name)
        good = node is not None and node.op_type in ops and self.readers.get(name) == 1
        return node if good else None


def attribute(node: Any, name: str, default: Any) -> Any:
    """Return the value of a node's attribute."""
    from onnx import helper

    found = (helper.get_attribute_value(item) for item in node.attribute if item.name == name)
    return next(found, default)


def add_weight(graph: Any, name: str, value: Array) -> None:
    """Add an initializer."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(value, name))


def depthwise(
    graph: Any, x: str, output: str, factor: NDArray[Any], offset: NDArray[np.float64] | None = None
) -> Any:
    """Make a depthwise 1 x 1 convolution: y = factor * x + offset for each channel."""
    from onnx import helper

    inputs = [x, f"{output}/factor"]
    add_weight(graph, inputs[1], factor.astype(np.float32).reshape(-1, 1, 1, 1))
    if offset is not None:
        inputs.append(f"{output}/offset")
        add_weight(graph, inputs[2], offset.astype(np.float32))
    sizes = {"group": factor.size, "kernel_shape": [1, 1]}
    return helper.make_node("Conv", inputs, [output], name=output, **sizes)


def replace_items(field: Any, items: list[Any]) -> None:
    """Replace the contents of a repeated field; the new items may be parts of the old."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)
