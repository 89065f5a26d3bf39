"""Translate ONNX layers (convolution, pooling, normalization, dense) to MXNet symbols.

worker.py joins this class to `Symbols` of symbols.py. Needs numpy and never imports faceprint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Attributes = dict[str, Any]
Names = list[str]
Made = tuple[Any, int]
"""A symbol and its rank."""


class Layers:
    """Convolutions, pools, normalization, activations with slopes, dense layers."""

    sym: Any
    weights: dict[str, Any]
    values: dict[str, Made]
    _weight: Callable[..., Any]
    _symbol: Callable[..., Made]

    def op_conv(self, inputs: Names, given: Attributes) -> Made:
        weight = self.weights[inputs[1]]
        x, pad = self._padded(self.values[inputs[0]][0], given)
        arguments = [x, self._weight(inputs[1], weight)]
        if len(inputs) > 2:
            arguments.append(self._weight(inputs[2], self.weights[inputs[2]]))
        y = self.sym.Convolution(
            *arguments,
            kernel=weight.shape[2:],
            stride=given.get("strides", (1, 1)),
            dilate=given.get("dilations", (1, 1)),
            pad=pad,
            num_filter=weight.shape[0],
            num_group=given.get("group", 1),
            no_bias=len(inputs) < 3,
        )
        return y, 4

    def _padded(self, x: Any, given: Attributes, value: float = 0.0) -> tuple[Any, Any]:
        if given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            raise ValueError(f"auto_pad {given['auto_pad']}")
        top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
        if (top, left) == (bottom, right):
            return x, (top, left)
        width = (0, 0, 0, 0, top, bottom, left, right)
        return self.sym.pad(x, mode="constant", pad_width=width, constant_value=value), (0, 0)

    def _pool(self, inputs: Names, given: Attributes, kind: str) -> Made:
        x, pad = self._padded(self.values[inputs[0]][0], given, -3e38 if kind == "max" else 0.0)
        y = self.sym.Pooling(
            x,
            kernel=given["kernel_shape"],
            stride=given.get("strides", (1, 1)),
            pad=pad,
            pool_type=kind,
            pooling_convention="full" if given.get("ceil_mode") else "valid",
            count_include_pad=bool(given.get("count_include_pad", 0)),
        )
        return y, 4

    def op_maxpool(self, inputs: Names, given: Attributes) -> Made:
        return self._pool(inputs, given, "max")

    def op_averagepool(self, inputs: Names, given: Attributes) -> Made:
        return self._pool(inputs, given, "avg")

    def op_globalaveragepool(self, inputs: Names, given: Attributes) -> Made:
        return self.sym.mean(self.values[inputs[0]][0], axis=(2, 3), keepdims=True), 4

    def op_batchnormalization(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self.values[inputs[0]]
        names, eps = inputs[1:5], given.get("epsilon", 1e-5)
        weights = [
            self._weight(name, self.weights[name].reshape(-1), state=i > 1)
            for i, name in enumerate(names)
        ]
        y = self.sym.BatchNorm(x, *weights, eps=eps, fix_gamma=False, use_global_stats=True)
        return y[0], rank

    def op_prelu(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self.values[inputs[0]]
        slope = self.weights[inputs[1]]
        if slope.ndim == 3 and slope.shape[1:] != (1, 1):
            raise ValueError("PRelu with a slope for each pixel")
        gamma = self._weight(inputs[1], slope.reshape(-1))
        return self.sym.LeakyReLU(x, gamma=gamma, act_type="prelu"), rank

    def op_leakyrelu(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self.values[inputs[0]]
        return self.sym.LeakyReLU(x, act_type="leaky", slope=given.get("alpha", 0.01)), rank

    def op_clip(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self.values[inputs[0]]
        bounds = [given.get("min", -3.4e38), given.get("max", 3.4e38)]
        for i, name in enumerate(inputs[1:3]):
            if name:
                bounds[i] = float(self.weights[name].reshape(-1)[0])
        return self.sym.clip(x, *bounds), rank

    def op_gemm(self, inputs: Names, given: Attributes) -> Made:
        weight = self.weights[inputs[1]] * np.float32(given.get("alpha", 1.0))
        weight = weight if given.get("transB", 0) else weight.T
        x = self.values[inputs[0]][0]
        arguments = [x, self._weight(f"{inputs[1]}@gemm", weight)]
        if len(inputs) > 2:
            bias = self.weights[inputs[2]].reshape(-1) * np.float32(given.get("beta", 1.0))
            bias = np.broadcast_to(bias, weight.shape[:1])
            arguments.append(self._weight(f"{inputs[2]}@gemm", bias))
        hidden = {"num_hidden": weight.shape[0], "no_bias": len(inputs) < 3}
        return self.sym.FullyConnected(*arguments, flatten=False, **hidden), 2

    def op_matmul(self, inputs: Names, given: Attributes) -> Made:
        if inputs[1] in self.weights and self.weights[inputs[1]].ndim == 2:
            x, rank = self._symbol(inputs[0])
            weight = self.weights[inputs[1]].T
            w = self._weight(f"{inputs[1]}@matmul", weight)
            hidden = {"num_hidden": weight.shape[0], "no_bias": True}
            return self.sym.FullyConnected(x, w, flatten=False, **hidden), rank
        (a, rank), (b, _) = self._symbol(inputs[0]), self._symbol(inputs[1])
        return self.sym.linalg_gemm2(a, b), rank
