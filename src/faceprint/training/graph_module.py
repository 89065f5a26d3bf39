"""An ONNX graph as a PyTorch module: its weights are parameters, and gradients flow through it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from faceprint.errors import CardError
from faceprint.runtime.graph import Graph, Step
from faceprint.runtime.torch_call import Tensor
from faceprint.runtime.torch_steps import TorchSteps

__all__ = ["GraphModule", "LowRank"]

_WEIGHTS = {
    "Add": (0, 1),
    "BatchNormalization": (1, 2),
    "Conv": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "Mul": (0, 1),
    "PRelu": (1,),
}
"""The inputs of operators that are weights where the file gives their values. Running statistics of
a BatchNormalization are not: it stays as in inference, since a few photographs estimate them worse
than the training data did."""

_PRODUCTS = ("Conv", "Gemm", "MatMul")


class LowRank(nn.Module):  # type: ignore[misc]
    """A change of a weight: the product of two thin matrices (Hu et al. 2021, "LoRA").

    The weight is taken as the matrix (its first size, all others), so that convolutions have one
    too. It begins as zero.

    Args:
        shape: of the weight, two sizes or more.
        rank: of the change.
    """

    def __init__(self, shape: torch.Size, rank: int) -> None:
        super().__init__()
        rows, columns = shape[0], shape[1:].numel()
        self._shape = shape
        self.down = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))

    def forward(self) -> Tensor:
        """The change, of the weight's shape."""
        return (self.up @ self.down).reshape(self._shape)


class GraphModule(nn.Module):  # type: ignore[misc]
    """A graph with one input, whose first output is what is trained. All weights start frozen.

    Args:
        graph: see `load_graph`.
        name: of the file, for messages.

    Raises:
        CardError: an operator is not implemented, or there is more than one input.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        super().__init__()
        if len(graph.inputs) != 1:
            raise CardError(f"{name}: has {len(graph.inputs)} inputs, not one")
        self._steps = TorchSteps(graph, name, _tensor)
        self._graph, self._input = graph, graph.inputs[0].name
        # Names of parameters can't hold a dot, so a weight is known by its number.
        found = _weight_names(graph)
        self._keys = {weight: str(number) for number, weight in enumerate(found)}
        self.weights = nn.ParameterDict(
            {
                key: nn.Parameter(_tensor(graph.weights[weight]), requires_grad=False)
                for weight, key in self._keys.items()
            }
        )
        self._constants = [each for each in graph.weights if each not in self._keys]
        for number, constant in enumerate(self._constants):
            value = _tensor(graph.weights[constant])
            self.register_buffer(f"constant{number}", value, persistent=False)
        self.adapters = nn.ModuleDict()

    def forward(self, blob: Tensor) -> Tensor:
        """The first output (n, ...) of an input (n, ...)."""
        return self._steps.run({self._input: blob}, self._values())[0]

    def train_weights(self, names: Iterable[str]) -> None:
        """Let these weights be trained."""
        for name in names:
            self.weights[self._keys[name]].requires_grad_()

    def adapt(self, names: Iterable[str], rank: int) -> None:
        """Give these weights a trained change of low rank; smaller ones than that have none."""
        for name in names:
            key = self._keys[name]
            shape = self.weights[key].shape
            if len(shape) > 1 and rank * (shape[0] + shape[1:].numel()) < shape.numel():
                self.adapters[key] = LowRank(shape, rank)

    def products(self) -> list[str]:
        """The weights of convolutions and matrix products, in order; without their biases."""
        return [
            name
            for step in self._graph.steps
            if step.op in _PRODUCTS
            for name in _weights_of(step, self._keys, biases=False)
        ]

    def weights_from(self, start: int) -> list[str]:
        """The weights that only steps from number `start` on use."""
        before = {name for step in self._graph.steps[:start] for name in step.inputs}
        after = (name for step in self._graph.steps[start:] for name in step.inputs)
        return [name for name in dict.fromkeys(after) if name in self._keys and name not in before]

    def last_product(self) -> int:
        """The number of the last step that multiplies by a weight matrix.

        Raises:
            CardError: there is none.
        """
        steps = list(enumerate(self._graph.steps))
        for number, step in reversed(steps):
            if step.op in _PRODUCTS and _weights_of(step, self._keys, biases=False):
                return number
        raise CardError("the graph has no convolution or matrix product with weights")

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def last_stage(self, blob: Tensor) -> int:
        """The number of the convolution from which on maps have their last size above 1x1.

        Args:
            blob: an input.

        Raises:
            CardError: there is no convolution.
        """
        sizes: list[tuple[int, tuple[int, ...]]] = []
        number = -1

        def look(step: Step, values: Mapping[str, Tensor]) -> None:
            nonlocal number
            number += 1
            if step.op == "Conv":
                sizes.append((number, tuple(values[step.outputs[0]].shape[2:])))

        self._steps.run({self._input: blob}, self._values(), look)
        maps = [(place, size) for place, size in sizes if max(size) > 1]
        if not maps:
            raise CardError("the graph has no convolution over a map, and so no last stage")
        last = maps[-1][1]
        return next(place for place, size in maps if size == last)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def changed(self) -> dict[str, Any]:
        """Arrays by name of the weights that may have been trained, adapters merged in."""
        values = self._values()
        return {
            name: values[name].cpu().numpy()
            for name, key in self._keys.items()
            if key in self.adapters or self.weights[key].requires_grad
        }

    def _values(self) -> dict[str, Tensor]:
        values = {name: self.weights[key] for name, key in self._keys.items()}
        for name, key in self._keys.items():
            if key in self.adapters:
                values[name] = values[name] + self.adapters[key]()
        for number, name in enumerate(self._constants):
            values[name] = getattr(self, f"constant{number}")
        return values


def _weight_names(graph: Graph) -> list[str]:
    """Floating values that are used as weights alone, in order of their use."""
    found: dict[str, None] = {}
    other: set[str] = set()
    for step in graph.steps:
        roles = _WEIGHTS.get(step.op, ())
        for place, name in enumerate(step.inputs):
            if name not in graph.weights:
                continue
            value = graph.weights[name]
            single = value.size == 1 and step.op in ("Add", "Mul")
            if place in roles and np.issubdtype(value.dtype, np.floating) and not single:
                found[name] = None
            else:
                other.add(name)
    return [name for name in found if name not in other]


def _weights_of(step: Step, known: Mapping[str, str], *, biases: bool) -> list[str]:
    places = _WEIGHTS[step.op] if biases or step.op == "MatMul" else (1,)
    return [step.inputs[i] for i in places if i < len(step.inputs) and step.inputs[i] in known]


def _tensor(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value))
