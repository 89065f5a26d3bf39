"""A graph of the onnx package as the rewriting steps need to see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceprint.zoo.legacy_passes import add_weight

if TYPE_CHECKING:
    from faceprint.types import Array

__all__ = ["GraphView", "depthwise"]


class GraphView:
    """Who makes and who reads each tensor, and the float32 weights."""

    def __init__(self, graph: Any) -> None:
        from onnx import TensorProto

        self.makers = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, int] = {}
        for node in graph.node:
            for name in node.input:
                self.readers[name] = self.readers.get(name, 0) + 1
        for item in graph.output:
            self.readers[item.name] = self.readers.get(item.name, 0) + 1
        self._float = TensorProto.FLOAT
        self._weights: dict[str, Any] = {}
        self.learn(graph.initializer)

    def learn(self, initializers: Iterable[Any]) -> None:
        """Take note of weights that were added."""
        self._weights |= {i.name: i for i in initializers if i.data_type == self._float}

    def weight(self, name: str) -> Array | None:
        """A float32 weight; None for anything else."""
        from onnx import numpy_helper

        item = self._weights.get(name)
        return None if item is None else numpy_helper.to_array(item)

    def sole_maker(self, name: str, *ops: str) -> Any:
        """The node that makes a tensor, where it has one of these operators and one reader."""
        node = self.makers.get(name)
        good = node is not None and node.op_type in ops and self.readers.get(name) == 1
        return node if good else None


def depthwise(
    graph: Any, x: str, output: str, factor: NDArray[Any], offset: NDArray[np.float64] | None = None
) -> Any:
    """A depthwise 1 x 1 convolution: y = factor * x + offset for each channel."""
    from onnx import helper

    inputs = [x, f"{output}/factor"]
    add_weight(graph, inputs[1], factor.astype(np.float32).reshape(-1, 1, 1, 1))
    if offset is not None:
        inputs.append(f"{output}/offset")
        add_weight(graph, inputs[2], offset.astype(np.float32))
    sizes = {"group": factor.size, "kernel_shape": [1, 1]}
    return helper.make_node("Conv", inputs, [output], name=output, **sizes)
