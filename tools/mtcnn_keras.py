"""Reads MTCNN's weights as the `mtcnn` distribution ships them; what graphs are put together by.

Each of its files is a joblib pickle, compressed with lz4, of one list of float32 arrays in Keras
order: kernel and bias for each convolution or dense layer, slopes for each PReLU. The networks take
upright images in [batch, height, width, channel], so the kernels need no spatial transposition. One
thing is transposed all the same: before its first dense layer Keras permutes the map to [width,
height, channel], a relic of Caffe's training code. That is absorbed into the dense layer's columns
here, so that no graph has to transpose anything.

Names and order in a graph come from the code alone, and nothing depends on the time or the machine:
the same weights give the same bytes. Networks: Zhang et al., "Joint Face Detection and Alignment
using Multi-task Cascaded Convolutional Networks", 2016.
"""

from __future__ import annotations

import hashlib
import io
import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

Array = NDArray[np.float32]
Dims = list[int | str]
Weights = dict[str, tuple[Array, ...]]
"""Layer name to (kernel, bias) or (slopes,). Kernels: [out, in, rows, columns] or [out, in]; slopes
[channels, 1, 1] after a convolution, [channels] after a dense layer."""

PNET = ("conv1", "prelu1", "conv2", "prelu2", "conv3", "prelu3", "offsets", "score")
RNET = (*PNET[:6], "dense4", "prelu4", "offsets", "score")
ONET = (*PNET[:6], "conv4", "prelu4", "dense5", "prelu5", "offsets", "landmarks", "score")

FLATTENED = {"dense4": (3, 3, 64), "dense5": (3, 3, 128)}
"""(width, height, channels) of the map that the first dense layer of R-Net and O-Net reads."""


def _unpickle(data: bytes, sha256: str) -> list[Array]:
    """The list inside a file. A pickle may run code, so nothing but the known bytes is loaded."""
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ValueError(f"sha256 of the weight file is {found}, expected {sha256}")
    import joblib  # with lz4, which it needs for these files; both are for this tool alone

    arrays = joblib.load(io.BytesIO(data))
    if not isinstance(arrays, list) or any(
        not isinstance(array, np.ndarray) or array.dtype != np.float32 for array in arrays
    ):
        raise ValueError("the weight file does not hold a list of float32 arrays")
    return arrays


def _kernel(name: str, kernel: Array) -> Array:
    """From Keras' layout, [rows, columns, in, out] or [in, out], to ONNX's."""
    if kernel.ndim == 4:
        return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    if name in FLATTENED:
        if math.prod(FLATTENED[name]) != kernel.shape[0]:
            raise ValueError(f"{name} reads {kernel.shape[0]} values")
        outputs = kernel.shape[1]
        by_axis = kernel.reshape(*FLATTENED[name], outputs)
        return np.ascontiguousarray(by_axis.transpose(3, 2, 1, 0)).reshape(outputs, -1)
    return np.ascontiguousarray(kernel.T)


def _face_logit(kernel: Array, bias: Array) -> tuple[Array, Array]:
    """One output in place of two classes (no face, face).

    The softmax of two numbers is the sigmoid of their difference, and the difference of two rows
    of weights is one row: half the work, the same probability.
    """
    wide, offset = kernel.astype(np.float64), bias.astype(np.float64)
    return (wide[1:] - wide[:1]).astype(np.float32), (offset[1:] - offset[:1]).astype(np.float32)


def load(data: bytes, sha256: str, layers: tuple[str, ...]) -> Weights:
    """The weights of one network by layer name, in ONNX's layout.

    data: the file; sha256: what it must be; layers: `PNET`, `RNET` or `ONET`. Raises ValueError
    for a file that is not the known one.
    """
    arrays = iter(_unpickle(data, sha256))
    weights: Weights = {}
    for name in layers:
        if name.startswith("prelu"):
            slopes = next(arrays)
            weights[name] = (slopes.reshape(-1, 1, 1) if slopes.ndim == 3 else slopes,)
        else:
            kernel, bias = _kernel(name, next(arrays)), next(arrays)
            weights[name] = _face_logit(kernel, bias) if name == "score" else (kernel, bias)
    if next(arrays, None) is not None:
        raise ValueError("the weight file holds more arrays than the network has")
    return weights


class Graph:
    """Collects nodes and weights in order; a node's name is also its output's."""

    def __init__(self, name: str, inputs: Dims, note: str) -> None:
        self._name = name
        self._inputs = [value("input", inputs, note)]
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def weight(self, name: str, array: NDArray[Any]) -> str:
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes(kind, [name], *inputs, **attributes)
        return name

    def nodes(self, kind: str, names: list[str], *inputs: str, **attributes: Any) -> None:
        """A node with several outputs, named after the first."""
        made = helper.make_node(kind, list(inputs), names, name=names[0], **attributes)
        self._nodes.append(made)

    def conv(self, name: str, x: str, weights: tuple[Array, ...], **attributes: Any) -> str:
        """Convolution by weights [out, in, rows, columns] plus bias [out]."""
        kernel = self.weight(f"{name}.weight", weights[0])
        bias = self.weight(f"{name}.bias", weights[1])
        shape = list(weights[0].shape[2:])
        return self.node("Conv", name, x, kernel, bias, kernel_shape=shape, **attributes)

    def dense(self, name: str, x: str, weights: tuple[Array, ...]) -> str:
        """Product with weights [out, in] plus bias [out]."""
        kernel = self.weight(f"{name}.weight", weights[0])
        return self.node("Gemm", name, x, kernel, self.weight(f"{name}.bias", weights[1]), transB=1)

    def prelu(self, name: str, x: str, weights: tuple[Array, ...]) -> str:
        """PRelu; over a feature map as x + (1 - a) max(-x, 0).

        Multiplying by -1 and by 1 - a is left to convolutions of one value a channel, which take in
        the maximum and the sum: two passes over the map. ONNX Runtime runs its own PRelu
        unvectorized and outside its blocked layout (docs/performance.md).
        """
        slopes = weights[0]
        if slopes.ndim == 1:
            return self.node("PRelu", name, x, self.weight(f"{name}.slope", slopes))
        one_a_channel = {"group": len(slopes), "kernel_shape": [1, 1]}
        minus = self.weight(f"{name}.minus", -np.ones_like(slopes[:, None]))
        factor = self.weight(f"{name}.rest", 1 - slopes[:, None])
        negated = self.node("Conv", f"{name}.negated", x, minus, **one_a_channel)
        below = self.node("Relu", f"{name}.below", negated)
        lift = self.node("Conv", f"{name}.lift", below, factor, **one_a_channel)
        return self.node("Add", name, x, lift)

    def probability(self, x: str) -> str:
        """The output `score` from the single logit in x's axis 1."""
        axis = self.weight("score.axis", np.array([1], np.int64))
        return self.node("Squeeze", "score", self.node("Sigmoid", "score.sigmoid", x), axis)

    def model(self, outputs: list[onnx.ValueInfoProto], metadata: dict[str, str]) -> bytes:
        """The checked model as bytes."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, outputs, self._weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="faceprint",
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def value(name: str, dims: Dims, note: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims, doc_string=note)
