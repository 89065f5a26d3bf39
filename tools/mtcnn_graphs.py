"""Build MTCNN's three networks as ONNX graphs that run fast on ONNX Runtime.

They compute the published networks' values up to rounding. Operators have another order, and
channels are padded with zeros to whole blocks (docs/performance.md says what each gains). Zhang et
al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016.
"""

from __future__ import annotations

import numpy as np
from mtcnn_keras import Array, Dims, Graph, Weights, value

BLOCK = 16
"""Channels in a block of ONNX Runtime's layout for convolutions: 16 with AVX-512, else 8."""

OFFSETS = "x1, y1, x2, y2: shift of each edge, in units of the box's width and height"
PIXELS = "RGB, 0 to 255"
LANDMARKS = (
    "x of five points, then y of the same five, from 0 to 1 across the box: eye at the image's "
    "left, eye at its right, nose, mouth corner at the left, mouth corner at the right"
)


def _conv_block(graph: Graph, weights: Weights, number: int, x: str) -> str:
    x = graph.conv(f"conv{number}", x, weights[f"conv{number}"])
    return graph.prelu(f"prelu{number}", x, weights[f"prelu{number}"])


def _folded(weights: Weights) -> Weights:
    """Fold the normalization (x - 127.5) / 128 into the first convolution.

    Both are linear and the convolution has no padding, so the kernel gets a factor and the bias an
    offset. The network's input is then pixels from 0 to 255 as floats.
    """
    kernel, bias = (part.astype(np.float64) for part in weights["conv1"])
    kernel = kernel / 128
    bias = bias - 127.5 * kernel.sum(axis=(1, 2, 3))
    return weights | {"conv1": (kernel.astype(np.float32), bias.astype(np.float32))}


def _whole_blocks(weights: Weights, number: int) -> Weights:
    """Pad the channels of convolution `number` with zeros to whole blocks.

    A map with a partial block leaves ONNX Runtime's layout at the first operator that is not a
    dense convolution, and pooling it costs three times as much. Zeros stay zeros through PReLU and
    pooling, and the next convolution multiplies them by zero.
    """
    (kernel, bias), (slopes,) = weights[f"conv{number}"], weights[f"prelu{number}"]
    following, its_bias = weights[f"conv{number + 1}"]
    more = -len(kernel) % BLOCK
    return weights | {
        f"conv{number}": (_padded(kernel, more, 0), _padded(bias, more, 0)),
        f"prelu{number}": (_padded(slopes, more, 0),),
        f"conv{number + 1}": (_padded(following, more, 1), its_bias),
    }


def _padded(array: Array, more: int, axis: int) -> Array:
    return np.pad(array, [(0, more if at == axis else 0) for at in range(array.ndim)])


def _pooled_first(graph: Graph, weights: Weights) -> str:
    """Build P-Net's convolution 1, PReLU and pooling, with the PReLU after the pooling.

    PReLU with a slope a >= 0 is monotonic, so it can follow the maximum and then runs over a
    quarter of the values. With a < 0 the maximum of PReLU is max(p, -a q), where p and q are the
    maxima of x and of -x. So those channels are computed with both signs, which also fills the
    block of 16 (10 channels, 6 of them with a < 0). With u = max(., 0),

        a >= 0:  a p + (1 - a) u(p)           a < 0:  p + u(-a q - p)

    is a 1x1 convolution s of (p, q), plus u of a 1x1 convolution r, times t.
    """
    (kernel, bias), slopes = weights["conv1"], weights["prelu1"][0].reshape(-1)
    falling = np.flatnonzero(slopes < 0)
    kernel, bias = np.concatenate([kernel, -kernel[falling]]), np.append(bias, -bias[falling])
    count, both, wide = len(slopes), len(kernel), len(slopes) + -len(slopes) % BLOCK
    s, r, t = (np.zeros((wide, size), np.float32) for size in (both, both, 1))
    for channel, a in enumerate(slopes):
        s[channel, channel] = 1 if a < 0 else a
        r[channel, channel] = -1 if a < 0 else 1
        t[channel] = 1 if a < 0 else 1 - a
    r[falling, count + np.arange(len(falling))] = -slopes[falling]
    none = np.zeros(wide, np.float32)
    pooled = _pool(graph, 1, graph.conv("conv1", "input", (kernel, bias)), 2)
    positive = graph.conv("prelu1.r", pooled, (r[:, :, None, None], none))
    positive = graph.node("Relu", "prelu1.u", positive)
    times = graph.weight("prelu1.t.weight", t[:, :, None, None])
    scaled = graph.node("Conv", "prelu1.t", positive, times, group=wide, kernel_shape=[1, 1])
    linear = graph.conv("prelu1.s", pooled, (s[:, :, None, None], none))
    return graph.node("Add", "prelu1", linear, scaled)


def _heads(graph: Graph, x: str, weights: Weights) -> None:
    """Compute P-Net's two outputs by one convolution, at the cost of one."""
    pairs = (weights["score"], weights["offsets"])
    kernel, bias = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    heads = graph.conv("heads", x, (kernel, bias))
    sizes = graph.weight("heads.sizes", np.array([1, 4], np.int64))
    graph.nodes("Split", ["score.logit", "offsets"], heads, sizes, axis=1)
    graph.probability("score.logit")


def _pool(graph: Graph, number: int, x: str, size: int) -> str:
    """Max-pool by two. Windows may extend past the right and bottom edge, as in Caffe and in Keras'
    "same"; with Keras' "valid" the map fits exactly."""
    attributes = {"kernel_shape": [size, size], "strides": [2, 2], "ceil_mode": 1}
    return graph.node("MaxPool", f"pool{number}", x, **attributes)


def pnet(weights: Weights, metadata: dict[str, str]) -> bytes:
    """Build the proposal network: fully convolutional, for images of any size."""
    size: Dims = ["batch", 3, "height", "width"]
    graph = Graph("mtcnn_pnet", size, PIXELS)
    x = _pooled_first(graph, _folded(weights))
    weights = _whole_blocks(weights, 1)
    x = _conv_block(graph, weights, 3, _conv_block(graph, weights, 2, x))
    _heads(graph, x, weights)
    outputs = [
        value("score", ["batch", "h", "w"], "probability of a face; windows 12x12, stride 2"),
        value("offsets", ["batch", 4, "h", "w"], OFFSETS),
    ]
    return graph.model(outputs, metadata)


def rnet(weights: Weights, metadata: dict[str, str]) -> bytes:
    """Build the refinement network, for crops of 24x24."""
    weights = _whole_blocks(_folded(weights), 1)
    graph = Graph("mtcnn_rnet", ["batch", 3, 24, 24], PIXELS)
    x = _pool(graph, 1, _conv_block(graph, weights, 1, "input"), 3)
    x = _pool(graph, 2, _conv_block(graph, weights, 2, x), 3)
    x = graph.node("Flatten", "flatten", _conv_block(graph, weights, 3, x), axis=1)
    x = graph.prelu("prelu4", graph.dense("dense4", x, weights["dense4"]), weights["prelu4"])
    graph.probability(graph.dense("score.logit", x, weights["score"]))
    graph.dense("offsets", x, weights["offsets"])
    outputs = [
        value("score", ["batch"], "probability of a face"),
        value("offsets", ["batch", 4], OFFSETS),
    ]
    return graph.model(outputs, metadata)


def onet(weights: Weights, metadata: dict[str, str]) -> bytes:
    """Build the output network, for crops of 48x48."""
    weights = _folded(weights)
    graph = Graph("mtcnn_onet", ["batch", 3, 48, 48], PIXELS)
    x = _pool(graph, 1, _conv_block(graph, weights, 1, "input"), 3)
    x = _pool(graph, 2, _conv_block(graph, weights, 2, x), 3)
    x = _pool(graph, 3, _conv_block(graph, weights, 3, x), 2)
    x = graph.node("Flatten", "flatten", _conv_block(graph, weights, 4, x), axis=1)
    x = graph.prelu("prelu5", graph.dense("dense5", x, weights["dense5"]), weights["prelu5"])
    graph.probability(graph.dense("score.logit", x, weights["score"]))
    graph.dense("offsets", x, weights["offsets"])
    graph.dense("landmarks", x, weights["landmarks"])
    outputs = [
        value("score", ["batch"], "probability of a face"),
        value("offsets", ["batch", 4], OFFSETS),
        value("landmarks", ["batch", 10], LANDMARKS),
    ]
    return graph.model(outputs, metadata)
