"""Translate ONNX nodes to MXNet symbols, in the environment of MXNet.

Loaded only by worker.py. Needs numpy and never imports faceprint.

MXNet's own importer copies all parameters after each node. That takes a minute and a half for a
network of a hundred layers; this takes seconds. MXNet broadcasts only between arrays of equal rank,
so each symbol is kept with its rank.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

Attributes = dict[str, Any]
Names = list[str]
Made = tuple[Any, int]
"""A symbol and its rank."""


class Symbols:
    """Build the symbol of a graph.

    Args:
        mx: the mxnet module.
        weights: arrays by name.
        source: `name` and `shape` of the graph's input, 0 where a dimension is free.
        steps: `op`, `inputs`, `outputs`, `attributes` of each node in order.
    """

    def __init__(
        self,
        mx: Any,
        weights: dict[str, Any],
        source: dict[str, Any],
        steps: list[dict[str, Any]],
    ) -> None:
        self.mx, self.sym, self.weights = mx, mx.sym, weights
        self.arguments: dict[str, Any] = {}
        self.states: dict[str, Any] = {}
        self.source = source
        self.values = {source["name"]: (mx.sym.Variable(source["name"]), len(source["shape"]))}
        for step in steps:
            self._step(step["op"], step["inputs"], step["outputs"], step["attributes"])

    def finish(self, outputs: Names) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Return the symbol, its arguments and its auxiliary states."""
        group = self.sym.Group([self.values[name][0] for name in outputs])
        return group, self.arguments, self.states

    def _step(self, op: str, inputs: Names, outputs: Names, given: Attributes) -> None:
        method = getattr(self, f"op_{op.lower()}", None)
        if method is not None:
            result = method(inputs, {**given, "@outputs": len(outputs)})
        elif op in _UNARY and inputs[0] in self.values:
            x, rank = self.values[inputs[0]]
            result = getattr(self.sym, _UNARY[op])(x), rank
        elif op in _BINARY:
            result = self._binary(op, *inputs)
        else:
            raise ValueError(f"MXNet has no translation of the operator {op}")
        results = result if isinstance(result, list) else [result]
        self.values.update(zip(outputs, results))  # noqa: B905 - runs on Python 3.9 too

    def _weight(self, name: str, value: Any, state: bool = False) -> Any:
        store = self.states if state else self.arguments
        store[name] = np.asarray(value, np.float32)
        return self.sym.Variable(name, shape=value.shape)

    def _symbol(self, name: str, rank: int = 0) -> Made:
        """Return a computed tensor or a weight, with at least that rank."""
        if name in self.values:
            x, own = self.values[name]
            for _ in range(rank - own):
                x = self.sym.expand_dims(x, axis=0)
            return x, max(own, rank)
        value = self.weights[name]
        shape = (1,) * (rank - value.ndim) + value.shape
        return self._weight(f"{name}@{len(shape)}", value.reshape(shape)), len(shape)

    def _numbers(self, inputs: Names, index: int, given: Attributes, name: str) -> Any:
        if index < len(inputs) and inputs[index]:
            return [int(item) for item in self.weights[inputs[index]].reshape(-1)]
        return given.get(name)

    def _shape(self, x: Any) -> Any:
        """Return a symbol's shape; 0 where a size depends on the input."""
        given = {self.source["name"]: tuple(self.source["shape"])}
        return x.infer_shape_partial(**given)[1][0]

    def _binary(self, op: str, left: str, right: str) -> Made:
        for name, other, swapped in ((right, left, False), (left, right, True)):
            if name in self.weights and self.weights[name].size == 1 and other in self.values:
                x, rank = self.values[other]
                number = float(self.weights[name].reshape(-1)[0])
                sides = (number, x) if swapped else (x, number)
                return _OPERATOR[op](*sides), max(rank, self.weights[name].ndim)
        ranks = [
            self.values[n][1] if n in self.values else self.weights[n].ndim for n in (left, right)
        ]
        (a, rank), (b, _) = self._symbol(left, max(ranks)), self._symbol(right, max(ranks))
        return getattr(self.sym, _BINARY[op])(a, b), rank

    def op_flatten(self, inputs: Names, given: Attributes) -> Made:
        if given.get("axis", 1) != 1:
            raise ValueError("Flatten from another axis than 1")
        return self.sym.Flatten(self.values[inputs[0]][0]), 2

    def op_reshape(self, inputs: Names, given: Attributes) -> Made:
        shape = self._numbers(inputs, 1, given, "shape")
        return self.sym.reshape(self._symbol(inputs[0])[0], shape=shape), len(shape)

    def op_transpose(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self._symbol(inputs[0])
        return self.sym.transpose(x, axes=given["perm"]), rank

    def op_squeeze(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self._symbol(inputs[0])
        axes = self._numbers(inputs, 1, given, "axes")
        return self.sym.squeeze(x, axis=tuple(axes)), rank - len(axes)

    def op_unsqueeze(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self._symbol(inputs[0])
        axes = self._numbers(inputs, 1, given, "axes")
        for axis in sorted(axis % (rank + len(axes)) for axis in axes):
            x = self.sym.expand_dims(x, axis=axis)
        return x, rank + len(axes)

    def op_concat(self, inputs: Names, given: Attributes) -> Made:
        parts = [self._symbol(name) for name in inputs]
        return self.sym.concat(*(x for x, _ in parts), dim=given["axis"]), parts[0][1]

    def op_slice(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self._symbol(inputs[0])
        starts = self._numbers(inputs, 1, given, "starts")
        ends = self._numbers(inputs, 2, given, "ends")
        axes = self._numbers(inputs, 3, given, "axes") or range(len(starts))
        if any(step != 1 for step in self._numbers(inputs, 4, given, "steps") or ()):
            raise ValueError("Slice with steps")
        sizes = self._shape(x)
        for axis, start, end in zip(axes, starts, ends):  # noqa: B905
            # ONNX lets a slice extend past the edge, MXNet does not.
            past = end >= (sizes[axis] or 2**31 - 1)
            x = self.sym.slice_axis(x, axis=axis, begin=start, end=None if past else end)
        return x, rank

    def op_split(self, inputs: Names, given: Attributes) -> list[Made]:
        x, rank = self._symbol(inputs[0])
        axis, sizes = given.get("axis", 0), self._numbers(inputs, 1, given, "split")
        count = given["@outputs"]
        if sizes is None:
            made = self.sym.split(x, num_outputs=count, axis=axis)
            return [(made[i], rank) for i in range(count)]
        edges = np.cumsum([0, *sizes]).tolist()
        return [
            (self.sym.slice_axis(x, axis=axis, begin=edges[i], end=edges[i + 1]), rank)
            for i in range(count)
        ]

    def op_expand(self, inputs: Names, given: Attributes) -> Made:
        shape = tuple(self._numbers(inputs, 1, given, "shape"))
        x, rank = self._symbol(inputs[0], len(shape))
        ones = np.ones((1,) * (rank - len(shape)) + shape, np.float32)
        return self.sym.broadcast_mul(x, self._weight(f"{inputs[1]}@ones", ones)), rank

    def op_pad(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self._symbol(inputs[0])
        pads = self._numbers(inputs, 1, given, "pads")
        value = float(self.weights[inputs[2]].reshape(-1)[0]) if len(inputs) > 2 else 0.0
        if given.get("mode", "constant") != "constant" or value != given.get("value", value):
            raise ValueError("Pad that is not constant")
        for axis in range(rank):
            # MXNet's own pad does not support the channel axis.
            edge = self.sym.zeros_like(self.sym.slice_axis(x, axis=axis, begin=0, end=1)) + value
            before, after = pads[axis], pads[axis + rank]
            parts = [self.sym.repeat(edge, repeats=n, axis=axis) for n in (before, after) if n]
            if parts:
                place = [*parts[: bool(before)], x, *parts[bool(before) :]]
                x = self.sym.concat(*place, dim=axis)
        return x, rank

    def op_resize(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self._symbol(inputs[0])
        if given.get("mode", "nearest") != "nearest":
            raise ValueError("Resize that is not nearest")
        if len(inputs) > 3:
            sizes = zip(self._numbers(inputs, 3, given, "sizes"), self._shape(x))  # noqa: B905
            factors = [new / old if old else 0 for new, old in sizes]
        else:
            factors = given.get("scales") or self.weights[inputs[-1]].tolist()
        # Only integer factors: for those, all of the standard's rounding modes agree.
        if list(factors[:2]) != [1, 1] or any(f != int(f) or f < 1 for f in factors):
            raise ValueError(f"Resize by {factors}")
        for axis in (2, 3):
            x = self.sym.repeat(x, repeats=int(factors[axis]), axis=axis)
        return x, rank

    op_upsample = op_resize

    def op_softmax(self, inputs: Names, given: Attributes) -> Made:
        x, rank = self._symbol(inputs[0])
        return self.sym.softmax(x, axis=given.get("axis", -1)), rank

    def op_reducemean(self, inputs: Names, given: Attributes) -> Made:
        return self._reduce(inputs, given, self.sym.mean)

    def op_reducel2(self, inputs: Names, given: Attributes) -> Made:
        squared = self.sym.square(self._symbol(inputs[0])[0]), self._symbol(inputs[0])[1]
        self.values["@squared"] = squared
        total, rank = self._reduce(["@squared", *inputs[1:]], given, self.sym.sum)
        return self.sym.sqrt(total), rank

    def _reduce(self, inputs: Names, given: Attributes, function: Any) -> Made:
        x, rank = self._symbol(inputs[0])
        axes, keep = tuple(self._numbers(inputs, 1, given, "axes")), bool(given.get("keepdims", 1))
        return function(x, axis=axes, keepdims=keep), rank if keep else rank - len(axes)


_UNARY = {
    "Dropout": "identity", "Erf": "erf", "Exp": "exp", "Identity": "identity", "Relu": "relu",
    "Sigmoid": "sigmoid", "Sqrt": "sqrt", "Tanh": "tanh",
}  # fmt: skip
_OPERATOR = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": operator.truediv,
    "Pow": operator.pow,
}  # fmt: skip
_BINARY = {
    "Add": "broadcast_add", "Sub": "broadcast_sub", "Mul": "broadcast_mul", "Div": "broadcast_div",
    "Pow": "broadcast_power",
}  # fmt: skip
