"""Read MTCNN's weights from the `mtcnn` distribution, and build ONNX graphs.

Each file is a joblib pickle, compressed with lz4, of a list of float32 arrays in Keras order:
kernel and bias of each convolution or dense layer, slopes of each PReLU. The networks take upright
images in [batch, height, width, channel], so the kernels need no spatial transposition. Before its
first dense layer, though, Keras permutes the map to [width, height, channel], a relic of Caffe's
training code. Here the columns of the dense layer are permuted instead.

The same weights always give the same bytes: nothing depends on the time or the machine. Networks:
Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks",
2016.
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
    """Read the list in a file. A pickle may run code, so only the known bytes are loaded."""
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
    """Convert a kernel from Keras' layout, [rows, columns, in, out] or [in, out], to ONNX's."""
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
    """Replace the two classes (no face, face) by one output.

    The softmax of two numbers is the sigmoid of their difference, which is one row of weights.
    """
    wide, offset = kernel.astype(np.float64), bias.astype(np.float64)
    return (wide[1:] - wide[:1]).astype(np.float32), (offset[1:] - offset[:1]).astype(np.float32)


def load(data: bytes, sha256: str, layers: tuple[str, ...]) -> Weights:
    """Read the weights of one network by layer name, in ONNX's layout.

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
    """Collect nodes and weights in order; a node has the name of its output."""

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
        """Add a node with several outputs, named after the first."""
        made = helper.make_node(kind, list(inputs), names, name=names[0], **attributes)
        self._nodes.append(made)

    def conv(self, name: str, x: str, weights: tuple[Array, ...], **attributes: Any) -> str:
        """Add a convolution with weights [out, in, rows, columns] and bias [out]."""
        kernel = self.weight(f"{name}.weight", weights[0])
        bias = self.weight(f"{name}.bias", weights[1])
        shape = list(weights[0].shape[2:])
        return self.node("Conv", name, x, kernel, bias, kernel_shape=shape, **attributes)

    def dense(self, name: str, x: str, weights: tuple[Array, ...]) -> str:
        """Add a dense layer with weights [out, in] and bias [out]."""
        kernel = self.weight(f"{name}.weight", weights[0])
        return self.node("Gemm", name, x, kernel, self.weight(f"{name}.bias", weights[1]), transB=1)

    def prelu(self, name: str, x: str, weights: tuple[Array, ...]) -> str:
        """Add a PRelu; on a feature map as x + (1 - a) max(-x, 0).

        Depthwise convolutions multiply by -1 and by 1 - a; ONNX Runtime fuses the maximum and the
        sum into them, which leaves two passes over the map. Its own PRelu is not vectorized and
        leaves the blocked layout (docs/performance.md).
        """
        slopes = weights[0]
        if slopes.ndim == 1:
            return self.node("PRelu", name, x, self.weight(f"{name}.slope", slopes))
        depthwise = {"group": len(slopes), "kernel_shape": [1, 1]}
        minus = self.weight(f"{name}.minus", -np.ones_like(slopes[:, None]))
        factor = self.weight(f"{name}.rest", 1 - slopes[:, None])
        negated = self.node("Conv", f"{name}.negated", x, minus, **depthwise)
        below = self.node("Relu", f"{name}.below", negated)
        lift = self.node("Conv", f"{name}.lift", below, factor, **depthwise)
        return self.node("Add", name, x, lift)

    def probability(self, x: str) -> str:
        """Add the output `score`, from the single logit in axis 1 of x."""
        axis = self.weight("score.axis", np.array([1], np.int64))
        return self.node("Squeeze", "score", self.node("Sigmoid", "score.sigmoid", x), axis)

    def model(self, outputs: list[onnx.ValueInfoProto], metadata: dict[str, str]) -> bytes:
        """Return the checked model as bytes."""
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
