"""Runs the steps of an ONNX graph on PyTorch tensors, for sessions and for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import CardError
from faceprint.runtime.graph import Graph, Step
from faceprint.runtime.torch_call import Call, Tensor
from faceprint.runtime.torch_operators import OPERATORS

__all__ = ["TorchSteps"]

Visit = Callable[[Step, Mapping[str, Tensor]], None]


class TorchSteps:
    """The steps of a graph, without its weights.

    Args:
        name: the file's, for messages.
        tensor: makes the tensors of attributes.

    Raises:
        CardError: an operator is not implemented.
    """

    def __init__(self, graph: Graph, name: str, tensor: Callable[[NDArray[Any]], Tensor]) -> None:
        unknown = sorted({str(step.op) for step in graph.steps if step.op not in OPERATORS})
        if unknown:
            raise CardError(
                f"{name}: the PyTorch runtime has no operator {', '.join(unknown)}; "
                "use another runtime"
            )
        self._steps = [
            (step, {key: _attribute(tensor, value) for key, value in step.attributes.items()}, dead)
            for step, dead in zip(graph.steps, _last_uses(graph), strict=True)
        ]
        self._opset, self._name = graph.opset, name
        self._outputs = [item.name for item in graph.outputs]

    def run(
        self, values: dict[str, Tensor], weights: Mapping[str, Tensor], visit: Visit | None = None
    ) -> list[Tensor]:
        """Run all steps and return the graph's outputs.

        Args:
            values: the inputs by name; changed.
            visit: called after each step, with all tensors that are known then.

        Raises:
            CardError: PyTorch can't run a step, or no step makes an output.
        """
        for step, attributes, dead in self._steps:
            self._step(step, attributes, values, weights)
            if visit is not None:
                visit(step, values)
            for name in dead:
                values.pop(name, None)  # an operator may have given less than was asked for
        missing = [name for name in self._outputs if name not in values]
        if missing:
            raise CardError(f"{self._name}: no node makes its output {missing[0]!r}")
        return [values[name] for name in self._outputs]

    def _step(
        self,
        step: Step,
        attributes: Mapping[str, Any],
        values: dict[str, Tensor],
        weights: Mapping[str, Tensor],
    ) -> None:
        try:
            inputs = tuple(
                None if not name else values[name] if name in values else weights[name]
                for name in step.inputs
            )
            result = OPERATORS[step.op](Call(inputs, attributes, self._opset, len(step.outputs)))
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CardError(
                f"{self._name}: PyTorch can't run {step.name} ({reason}); use another runtime"
            ) from error
        results = result if isinstance(result, (tuple, list)) else (result,)
        values.update(zip(step.outputs, results, strict=False))


def _attribute(tensor: Callable[[NDArray[Any]], Tensor], value: Any) -> Any:
    return tensor(value) if isinstance(value, np.ndarray) else value


def _last_uses(graph: Graph) -> list[tuple[str, ...]]:
    """List for each step the tensors that no later step reads, so that they can be freed."""
    kept = {item.name for item in graph.outputs} | set(graph.weights) | {""}
    plan: list[tuple[str, ...]] = []
    for step in reversed(graph.steps):
        touched = dict.fromkeys([*step.inputs, *step.outputs])
        plan.append(tuple(name for name in touched if name not in kept))
        kept.update(touched)
    return plan[::-1]
