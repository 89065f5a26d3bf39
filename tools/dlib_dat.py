"""Reads a network that dlib has serialized (`.dat`), with numpy and the standard library alone.

The format, as far as dlib's face recognition network uses it:

- integer: one byte with the count of bytes in its low half and the sign in its top bit, then that
  many bytes, little endian; truth values are the characters "0" and "1";
- real: integer mantissa, integer exponent of two; string: length, bytes;
- tensor: version 2, samples, channels, rows, columns, then float32, little endian;
- network: every layer writes its version, then the network below it, then itself. The file
  therefore opens with all versions, from the top layer down, and goes on with the layers from the
  bottom up. Tags and skips write a version and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Pair = tuple[int, int]
Shape = tuple[int, int, int]
"""Channels, rows, columns."""


@dataclass(frozen=True)
class Conv:
    """weight [out, in, rows, columns], bias [out]; stride and padding as (y, x) in pixels."""

    weight: Array
    bias: Array
    stride: Pair
    padding: Pair


@dataclass(frozen=True)
class Affine:
    """x * gamma + beta for each channel, both [channels]."""

    gamma: Array
    beta: Array


@dataclass(frozen=True)
class Pool:
    """Pooling, "max" or "avg"; sizes as (y, x). A kernel of (0, 0) covers the whole map."""

    kind: str
    kernel: Pair
    stride: Pair
    padding: Pair


@dataclass(frozen=True)
class Dense:
    """Matrix without bias: weight [in, out]."""

    weight: Array


@dataclass(frozen=True)
class Plain:
    """A layer without parameters: "relu", "add" (to the tagged map) or "mark" (a tag or a skip)."""

    kind: str


Layer = Conv | Affine | Pool | Dense | Plain


@dataclass(frozen=True)
class Network:
    """mean: what dlib subtracts from R, G, B; size: (rows, columns); layers from the input up."""

    mean: tuple[float, float, float]
    size: Pair
    layers: tuple[Layer, ...] = field(repr=False)


class _Reader:
    """A cursor over the file's bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def finished(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._data):
            raise ValueError(f"the file ends inside a value, at byte {self._at}")
        self._at += count
        return self._data[self._at - count : self._at]

    def integer(self) -> int:
        head = self.take(1)[0]
        if head & 0x70 or not 1 <= head & 0x0F <= 8:
            raise ValueError(f"no integer at byte {self._at - 1}")
        value = int.from_bytes(self.take(head & 0x0F), "little")
        return -value if head & 0x80 else value

    def real(self) -> float:
        mantissa = self.integer()
        return math.ldexp(mantissa, self.integer())

    def string(self) -> str:
        return self.take(self.integer()).decode("ascii")

    def truth(self) -> bool:
        char = self.take(1)
        if char not in (b"0", b"1"):
            raise ValueError(f"no truth value at byte {self._at - 1}")
        return char == b"1"

    def shape(self, version: int) -> tuple[int, int, int, int]:
        self.expect(version)
        return self.integer(), self.integer(), self.integer(), self.integer()

    def tensor(self) -> Array:
        count = math.prod(self.shape(2))
        return np.frombuffer(self.take(4 * count), dtype="<f4").astype(np.float32)

    def pair(self) -> Pair:
        return self.integer(), self.integer()

    def expect(self, *allowed: int) -> int:
        value = self.integer()
        if value not in allowed:
            raise ValueError(f"version {value} at byte {self._at}, known are {allowed}")
        return value


def _conv(read: _Reader) -> Conv:
    params = read.tensor()
    count = read.integer()
    kernel, stride, padding = read.pair(), read.pair(), read.pair()
    shape, bias_shape = read.shape(1), read.shape(1)
    _skip_multipliers(read)
    size = math.prod(shape)
    if (shape[0], *shape[2:]) != (count, *kernel) or size + math.prod(bias_shape) != params.size:
        raise ValueError(f"a convolution's sizes contradict each other: {shape}, {params.size}")
    return Conv(params[:size].reshape(shape), params[size:], stride, padding)


def _affine(read: _Reader) -> Affine:
    params = read.tensor()
    size = math.prod(read.shape(1))
    if size + math.prod(read.shape(1)) != params.size:
        raise ValueError("an affine layer's sizes contradict each other")
    read.integer()  # mode: convolutional; the shapes say so already
    return Affine(params[:size], params[size:])


def _dense(read: _Reader) -> Dense:
    outputs, inputs = read.pair()
    params = read.tensor()
    read.shape(1)
    read.shape(1)
    read.integer()  # bias mode; a bias would make the parameters longer
    _skip_multipliers(read)
    if params.size != inputs * outputs:
        raise ValueError("a dense layer with a bias is not known here")
    return Dense(params.reshape(inputs, outputs))


def _skip_multipliers(read: _Reader) -> None:
    """Rates and weight decays, for weights and biases: they matter to training alone."""
    for _ in range(4):
        read.real()


def _layer(read: _Reader) -> Layer:
    name = read.string()
    match name:
        case "con_4":
            return _conv(read)
        case "affine_":
            return _affine(read)
        case "fc_2":
            return _dense(read)
        case "max_pool_2" | "avg_pool_2":
            return Pool(name[:3], read.pair(), read.pair(), read.pair())
        case "relu_":
            return Plain("relu")
        case "add_prev_":
            return Plain("add")
    raise ValueError(f"unknown layer {name!r}")


def _state(read: _Reader) -> None:
    """What a layer keeps from training: three flags, three tensors (gradients, last output)."""
    for _ in range(3):
        read.truth()
    for _ in range(3):
        read.tensor()


def parse(data: bytes) -> Network:
    """The network in `data`, a whole `.dat` file. Raises ValueError for anything unexpected."""
    read = _Reader(data)
    read.expect(1)
    if read.string() != "loss_metric_2":
        raise ValueError("not a network that was trained with dlib's metric loss")
    read.real(), read.real()  # margin and distance threshold of the loss
    versions = [read.expect(1, 2, 3)]
    while versions[-1] != 3:  # 3 is the lowest layer: what follows is the input and no version
        versions.append(read.expect(1, 2, 3))
    if (name := read.string()) != "input_rgb_image_sized":
        raise ValueError(f"unknown input {name!r}")
    mean, size = (read.real(), read.real(), read.real()), read.pair()

    layers: list[Layer] = []
    for version in reversed(versions):
        if version == 1:
            layers.append(Plain("mark"))
            continue
        layers.append(_layer(read))
        _state(read)
        if version == 3:
            read.integer()  # images per sample
    if not read.finished:
        raise ValueError("bytes are left after the last layer")
    return Network(mean, size, tuple(layers))


def folded(conv: Conv, affine: Affine) -> tuple[Array, Array]:
    """Weights and bias of a convolution together with the affine layer that follows it."""
    gamma, beta = affine.gamma.astype(np.float64), affine.beta.astype(np.float64)
    weight = conv.weight.astype(np.float64) * gamma[:, None, None, None]
    bias = conv.bias.astype(np.float64) * gamma + beta
    return weight.astype(np.float32), bias.astype(np.float32)


def shape_after(layer: Conv | Pool, shape: Shape) -> Shape:
    """Shape of the map that the layer makes of one of `shape`; windows that overhang are lost."""
    kernel = layer.weight.shape[2:] if isinstance(layer, Conv) else layer.kernel
    channels = layer.weight.shape[0] if isinstance(layer, Conv) else shape[0]
    rows = (shape[1] + 2 * layer.padding[0] - kernel[0]) // layer.stride[0] + 1
    columns = (shape[2] + 2 * layer.padding[1] - kernel[1]) // layer.stride[1] + 1
    return channels, rows, columns
