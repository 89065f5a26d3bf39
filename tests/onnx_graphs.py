"""Builds ONNX graphs for tests and benchmarks: ArcFace's residual network, as of today and of 2018.

Weights are random; each BatchNormalization holds the statistics that its input has in expectation,
so that activations stay finite through a hundred layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

Array = NDArray[np.float32]

R100_UNITS = (3, 13, 30, 3)
R100_WIDTHS = (64, 64, 128, 256, 512)


@dataclass(frozen=True)
class Style:
    """How a graph is written; the defaults are today's.

    Attributes:
        spatial: the attribute on every BatchNormalization; None leaves it out.
        flat_slopes: PRelu slopes (C,) instead of (C, 1, 1).
        listed: weights are graph inputs too.
        batch: None for a free one.
        dropout: a Dropout before the dense layer.
        flatten: `Flatten`, or `Reshape` with a constant shape.
    """

    opset: int = 17
    ir_version: int = 8
    spatial: int | None = None
    flat_slopes: bool = False
    listed: bool = False
    batch: int | None = None
    dropout: bool = False
    flatten: str = "Flatten"


MODERN = Style()
ZOO = Style(8, 3, 0, True, True, 1, True)
"""The shape of the ONNX zoo's arcfaceresnet100-8.onnx."""


@dataclass
class Builder:
    """Nodes and weights in the making; `variance` is tracked for every tensor."""

    style: Style
    seed: int
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    variance: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def weight(self, value: Array) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def conv(self, x: str, c_in: int, c_out: int, *, kernel: int, stride: int = 1) -> str:
        shape = (c_out, c_in, kernel, kernel)
        scale = np.float32(np.sqrt(1.0 / (c_in * kernel * kernel)))
        weight = self.weight(self.random.standard_normal(shape, np.float32) * scale)
        pad = kernel // 2
        y = self.node(
            "Conv", [x, weight], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4
        )
        self.variance[y] = self.variance[x]
        return y

    def norm(self, x: str, channels: int, gain: float = 1.0) -> str:
        r = self.random
        gamma = (gain * r.uniform(0.9, 1.1, channels)).astype(np.float32)
        beta = (0.1 * gain * r.standard_normal(channels)).astype(np.float32)
        deviation = np.sqrt(self.variance[x])
        mean = (0.05 * deviation * r.standard_normal(channels)).astype(np.float32)
        variance = (self.variance[x] * r.uniform(0.8, 1.2, channels)).astype(np.float32)
        attributes: dict[str, object] = {"epsilon": 2e-5}
        if self.style.spatial is not None:
            attributes["spatial"] = self.style.spatial
        parameters = [self.weight(value) for value in (gamma, beta, mean, variance)]
        y = self.node("BatchNormalization", [x, *parameters], **attributes)
        self.variance[y] = gain * gain * 1.02
        return y

    def prelu(self, x: str, channels: int) -> str:
        slopes = self.random.uniform(0.1, 0.4, channels).astype(np.float32)
        slope = self.weight(slopes if self.style.flat_slopes else slopes.reshape(-1, 1, 1))
        y = self.node("PRelu", [x, slope])
        self.variance[y] = 0.53 * self.variance[x]
        return y

    def unit(self, x: str, c_in: int, c_out: int, stride: int) -> str:
        y = self.norm(x, c_in)
        y = self.prelu(self.norm(self.conv(y, c_in, c_out, kernel=3), c_out), c_out)
        y = self.norm(self.conv(y, c_out, c_out, kernel=3, stride=stride), c_out, gain=0.3)
        if stride != 1 or c_in != c_out:
            x = self.norm(self.conv(x, c_in, c_out, kernel=1, stride=stride), c_out)
        total = self.node("Add", [y, x])
        self.variance[total] = self.variance[x] + self.variance[y]
        return total

    def head(self, x: str, channels: int, side: int, dim: int) -> str:
        y = self.norm(x, channels)
        if self.style.dropout:
            y = self.node("Dropout", [y], ratio=0.4)
        length = channels * side * side
        if self.style.flatten == "Flatten":
            y = self.node("Flatten", [y])
        else:
            shape = [self.style.batch or -1, length]
            y = self.node("Reshape", [y, self.weight(np.array(shape, np.int64))])
        scale = np.float32(np.sqrt(1.0 / length))
        weight = self.weight(self.random.standard_normal((dim, length), np.float32) * scale)
        bias = self.weight((0.1 * self.random.standard_normal(dim)).astype(np.float32))
        y = self.node("Gemm", [y, weight, bias], transB=1)
        self.variance[y] = 1.0
        return self.norm(y, dim)

    def finish(self, result: str, shape: tuple[int, ...], dim: int) -> ModelProto:
        style = self.style
        self.nodes[-1].output[0] = "fc1"
        batch = style.batch or "batch"
        inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, *shape])]
        if style.listed:
            inputs += [
                helper.make_tensor_value_info(item.name, item.data_type, list(item.dims))
                for item in self.weights
            ]
        output = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [batch, dim])
        graph = helper.make_graph(self.nodes, "faces", inputs, [output], self.weights)
        return helper.make_model(
            graph,
            ir_version=style.ir_version,
            opset_imports=[helper.make_opsetid("", style.opset)],
        )


def iresnet(
    style: Style = MODERN,
    *,
    units: tuple[int, ...] = (1, 1),
    widths: tuple[int, ...] = (8, 8, 12),
    side: int = 16,
    dim: int = 24,
    seed: int = 7,
) -> ModelProto:
    """ArcFace's IResNet: `widths` has one more entry than `units`, for the stem.

    The same seed gives the same weights in every style.
    """
    b = Builder(style, seed)
    b.variance["data"] = (0.5 * 127.5) ** 2
    x = b.node("Sub", ["data", b.weight(np.array([127.5], np.float32))])
    b.variance[x] = b.variance["data"]
    y = b.node("Mul", [x, b.weight(np.array([1 / 128], np.float32))])
    b.variance[y] = b.variance[x] / 128**2
    x = b.prelu(b.norm(b.conv(y, 3, widths[0], kernel=3), widths[0]), widths[0])
    for count, c_in, c_out in zip(units, widths, widths[1:], strict=False):
        for i in range(count):
            x = b.unit(x, c_in if i == 0 else c_out, c_out, 2 if i == 0 else 1)
    side //= 2 ** len(units)
    y = b.head(x, widths[-1], side, dim)
    full = side * 2 ** len(units)
    return b.finish(y, (3, full, full), dim)


def r100(style: Style = MODERN, *, seed: int = 7) -> ModelProto:
    """LResNet100E-IR at full size: 65.2 million parameters, 12.1 GMAC."""
    return iresnet(style, units=R100_UNITS, widths=R100_WIDTHS, side=112, dim=512, seed=seed)


def save(model: ModelProto, path: Path) -> Path:
    """Write a model and return where."""
    path.write_bytes(model.SerializeToString())
    return path


def parameters(model: ModelProto) -> int:
    """Numbers in the weights."""
    return sum(int(np.prod(item.dims)) for item in model.graph.initializer)
