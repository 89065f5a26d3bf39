"""A smaller student out of its teacher: fewer channels inside the blocks, the others refitted.

A block is a 1x1 convolution, a depthwise convolution and a 1x1 convolution, as MobileFaceNet is
made of. Its inner channels are dropped one by one, each time the one that least squares can best
replace by the others (backward elimination; as in optimal brain surgeon, Hassibi and Stork 1993).
The last convolution is fitted anew for each block in turn, to what the teacher has there, so that
later blocks mend what earlier ones lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from faceprint._onnx import reading
from faceprint._optional import require
from faceprint.errors import CardError
from faceprint.runtime.graph import Graph, Step, load_graph
from faceprint.runtime.torch_call import Tensor
from faceprint.runtime.torch_steps import TorchSteps
from faceprint.types import Array

__all__ = ["prune"]

_BETWEEN = {"BatchNormalization", "Clip", "LeakyRelu", "PRelu", "Relu"}
"""Operators on each channel by itself, which may stand between a block's convolutions."""

_MULTIPLE = 8
"""The number of channels kept is a multiple of this, which processors handle best."""

_ROWS = 40
"""Places of the maps that are looked at, per channel; least squares wants many more than one."""

_RIDGE = 1e-5

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Block:
    """Steps of one block.

    Attributes:
        inner: all steps before `project`, in order: the 1x1 convolution first.
        project: the last convolution.
        out: name of the block's output, after the sum with `beside` where there is one.
    """

    inner: tuple[Step, ...]
    project: Step
    out: str
    beside: str | None

    @property
    def hidden(self) -> str:
        """The name of what `project` takes."""
        return self.project.inputs[0]


def prune(model: Path, width: float, blob: Array) -> bytes:
    """Make a graph with `width` times as many channels inside its blocks.

    Args:
        model: an ONNX file.
        width: above 0 and below 1.
        blob: (n, ...) input of the graph; some hundred crops.

    Returns:
        The ONNX file.

    Raises:
        MissingExtraError: the onnx package is not installed.
        CardError: the graph has no such block, or can't be run by PyTorch.
    """
    graph = load_graph(model, extra="train")
    blocks = list(_blocks(graph))
    if not blocks:
        raise CardError(
            f"{model.name}: no block of a 1x1, a depthwise and a 1x1 convolution to prune; "
            "give a network's name as the student"
        )
    kept, fitted = _fit(graph, model.name, blocks, width, torch.from_numpy(blob))
    onnx = require("onnx", extra="train")
    with reading(model.name, extra="train", kind=CardError):
        proto = onnx.load(str(model))
        held = {item.name: item for item in proto.graph.initializer}
        nodes = {node.output[0]: node for node in proto.graph.node}
        for block, channels in zip(blocks, kept, strict=True):
            for name, value in _cut(graph, block, channels).items():
                held[name].CopyFrom(onnx.numpy_helper.from_array(value, name))
            for step in block.inner[1:]:
                for item in nodes[step.outputs[0]].attribute:
                    if item.name == "group":
                        item.i = len(channels)
        for name, value in fitted.items():
            held[name].CopyFrom(onnx.numpy_helper.from_array(value, name))
        del proto.graph.value_info[:]
        made: bytes = proto.SerializeToString()
    return made


def _blocks(graph: Graph) -> Iterator[_Block]:
    readers: dict[str, list[Step]] = {}
    for each in graph.steps:
        for name in each.inputs:
            readers.setdefault(name, []).append(each)
    uses = Counter(name for each in graph.steps for name in each.inputs)
    outputs = {item.name for item in graph.outputs}

    def follow(step: Step) -> Step | None:
        found = readers.get(step.outputs[0], [])
        alone = len(found) == 1 and step.outputs[0] not in outputs
        return found[0] if alone and found[0].inputs[0] == step.outputs[0] else None

    for first in graph.steps:
        if not _is_pointwise(graph, first):
            continue
        inner: list[Step] = [first]
        step: Step | None = follow(first)
        while step is not None and (step.op in _BETWEEN or _is_depthwise(graph, step)):
            inner.append(step)
            step = follow(step)
        if step is None or not _is_pointwise(graph, step):
            continue
        names = [name for each in (*inner, step) for name in each.inputs[1:] if name]
        depthwise = sum(each.op == "Conv" for each in inner[1:])
        if depthwise != 1 or any(uses[name] > 1 or name not in graph.weights for name in names):
            continue
        (added,) = readers.get(step.outputs[0], [None])[:1]
        if added is not None and added.op == "Add" and uses[step.outputs[0]] == 1:
            beside = next(name for name in added.inputs if name != step.outputs[0])
            if beside not in graph.weights:
                yield _Block(tuple(inner), step, added.outputs[0], beside)
                continue
        yield _Block(tuple(inner), step, step.outputs[0], None)


def _is_pointwise(graph: Graph, step: Step) -> bool:
    weight = graph.weights.get(step.inputs[1]) if step.op == "Conv" else None
    sizes = () if weight is None else weight.shape[2:]
    return sizes == (1, 1) and step.attributes.get("group", 1) == 1


def _is_depthwise(graph: Graph, step: Step) -> bool:
    weight = graph.weights.get(step.inputs[1]) if step.op == "Conv" else None
    return weight is not None and len(weight) == step.attributes.get("group", 1) > 1


def _channels(graph: Graph, block: _Block) -> int:
    return len(graph.weights[block.inner[0].inputs[1]])


@torch.no_grad()  # type: ignore[untyped-decorator]
def _fit(
    graph: Graph, name: str, blocks: list[_Block], width: float, blob: Tensor
) -> tuple[list[NDArray[np.int64]], dict[str, Array]]:
    """The channels that each block keeps, and the new weights of their last convolutions."""
    steps = TorchSteps(graph, name, lambda value: torch.from_numpy(np.array(value)))
    weights = {key: torch.from_numpy(np.array(value)) for key, value in graph.weights.items()}
    rows = {block.out: _ROWS * _channels(graph, block) for block in blocks}
    wanted: dict[str, Matrix] = {}

    def look(step: Step, values: Mapping[str, Tensor]) -> None:
        if step.outputs[0] in rows:
            wanted[step.outputs[0]] = _places(values[step.outputs[0]], rows[step.outputs[0]])

    steps.run({graph.inputs[0].name: blob}, weights, look)
    by_hidden = {block.hidden: block for block in blocks}
    kept: dict[str, NDArray[np.int64]] = {}
    fitted: dict[str, Array] = {}

    def refit(step: Step, values: Mapping[str, Tensor]) -> None:
        block = by_hidden.get(step.outputs[0])
        if block is None:
            return
        count = rows[block.out]
        target = wanted[block.out]
        if block.beside is not None:
            target = target - _places(values[block.beside], count)
        hidden = _strided(values[block.hidden], block.project)
        names = block.project.inputs[1:]
        channels, solved, bias = _least(_places(hidden, count), target, width, bias=len(names) > 1)
        kept[block.hidden] = channels
        shape = (*graph.weights[names[0]].shape[:1], hidden.shape[1], 1, 1)
        whole = np.zeros(shape, np.float32)
        whole[:, channels, 0, 0] = solved.T
        weights[names[0]] = torch.from_numpy(whole)
        fitted[names[0]] = np.ascontiguousarray(whole[:, channels])
        if len(names) > 1:
            fitted[names[1]] = bias.astype(np.float32)
            weights[names[1]] = torch.from_numpy(fitted[names[1]])

    steps.run({graph.inputs[0].name: blob}, weights, refit)
    return [kept[block.hidden] for block in blocks], fitted


def _strided(values: Tensor, step: Step) -> Tensor:
    """What a 1x1 convolution looks at."""
    down, across = step.attributes.get("strides", (1, 1))
    return values[:, :, ::down, ::across]


def _places(values: Tensor, count: int) -> Matrix:
    """(about count, channels) numbers at places that depend on the map's size alone."""
    images, channels, height, width = values.shape
    each = min(height * width, -(-count // images))
    random = np.random.default_rng((height, width))
    chosen = random.permuted(np.tile(np.arange(height * width), (images, 1)), axis=1)[:, :each]
    index = torch.from_numpy(chosen)[:, None].expand(-1, channels, -1)
    found = values.reshape(images, channels, -1).gather(2, index)
    return np.asarray(found.permute(0, 2, 1).reshape(-1, channels).double().numpy())


def _least(
    hidden: Matrix, target: Matrix, width: float, *, bias: bool
) -> tuple[NDArray[np.int64], Matrix, Matrix]:
    """The channels to keep; their weights (kept, out) fitted to the target, and the bias (out,)."""
    channels = hidden.shape[1]
    keep = max(_MULTIPLE, round(width * channels / _MULTIPLE) * _MULTIPLE)
    middle, aim = (each.mean(axis=0) if bias else 0 * each[0] for each in (hidden, target))
    table = hidden - middle
    square = table.T @ table
    square += _RIDGE * np.trace(square) / channels * np.eye(channels)
    inverse, product = np.linalg.inv(square), table.T @ (target - aim)
    solved, left = inverse @ product, np.arange(channels)
    while len(left) > keep:
        worst = int((np.square(solved).sum(axis=1) / np.diag(inverse)).argmin())
        rest = np.arange(len(left)) != worst
        share = inverse[:, worst] / inverse[worst, worst]
        solved = (solved - np.outer(share, solved[worst]))[rest]
        inverse = (inverse - np.outer(share, inverse[worst]))[np.ix_(rest, rest)]
        left = left[rest]
    exact = np.linalg.solve(square[np.ix_(left, left)], product[left])
    return left, exact, aim - middle[left] @ exact


def _cut(graph: Graph, block: _Block, channels: NDArray[np.int64]) -> dict[str, Array]:
    """The weights before the last convolution, of these channels alone."""
    found = {}
    for step in block.inner:
        for name in step.inputs[1:]:
            if name and (value := graph.weights[name]).shape[:1] == (_channels(graph, block),):
                found[name] = np.ascontiguousarray(value[channels])
    return found
