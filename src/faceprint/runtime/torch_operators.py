"""The ONNX operators of face models, implemented with PyTorch.

The standard is at https://onnx.ai/onnx/operators/. An operator takes a `Call` and returns a tensor
or a tuple of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from faceprint.runtime.torch_call import Call, Tensor

__all__ = ["OPERATORS"]


def _pads(call: Call, x: Tensor, value: float = 0.0) -> tuple[Tensor, list[int]]:
    """Pad the input where the two sides differ; return it with the symmetric rest."""
    mode = call.get("auto_pad", b"NOTSET")
    call.require(mode in (b"NOTSET", b"VALID"), f"auto_pad {mode!r}")
    pads = call.get("pads", [0, 0, 0, 0])
    call.require(len(pads) == 4, "windows that are not two-dimensional")
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return x, [top, left]
    return functional.pad(x, (left, right, top, bottom), value=value), [0, 0]


def _conv(call: Call) -> Tensor:
    x, padding = _pads(call, call.inputs[0])
    return functional.conv2d(
        x,
        call.inputs[1],
        call.input(2),
        stride=call.get("strides", 1),
        padding=padding,
        dilation=call.get("dilations", 1),
        groups=call.get("group", 1),
    )


def _max_pool(call: Call) -> Tensor:
    x, padding = _pads(call, call.inputs[0], value=float("-inf"))
    kernel = call.attributes["kernel_shape"]
    return functional.max_pool2d(
        x,
        kernel,
        stride=call.get("strides", [1] * len(kernel)),
        padding=padding,
        dilation=call.get("dilations", 1),
        ceil_mode=bool(call.get("ceil_mode", 0)),
    )


def _average_pool(call: Call) -> Tensor:
    counted = bool(call.get("count_include_pad", 0))
    pads = call.get("pads", [0, 0, 0, 0])
    call.require(counted or pads[:2] == pads[2:], "an average over uneven padding")
    x, padding = _pads(call, call.inputs[0])
    kernel = call.attributes["kernel_shape"]
    return functional.avg_pool2d(
        x,
        kernel,
        stride=call.get("strides", [1] * len(kernel)),
        padding=padding,
        ceil_mode=bool(call.get("ceil_mode", 0)),
        count_include_pad=counted,
    )


def _batch_norm(call: Call) -> Tensor:
    x, gamma, beta, mean, variance = call.inputs[:5]
    call.require(gamma.dim() == 1, "BatchNormalization with statistics for each pixel")
    return functional.batch_norm(x, mean, variance, gamma, beta, eps=call.get("epsilon", 1e-5))


def _prelu(call: Call) -> Tensor:
    x, slope = call.inputs
    if slope.numel() in (1, x.shape[1]) and slope.dim() == x.dim() - 1:
        return functional.prelu(x, slope.reshape(-1))
    return torch.where(x >= 0, x, x * slope)


def _clip(call: Call) -> Tensor:
    low = call.attributes.get("min", call.input(1))
    high = call.attributes.get("max", call.input(2))
    bounds = [None if b is None else float(b) for b in (low, high)]
    return torch.clamp(call.inputs[0], bounds[0], bounds[1])


def _gemm(call: Call) -> Tensor:
    a, b = call.inputs[:2]
    a = a.T if call.get("transA", 0) else a
    b = b.T if call.get("transB", 0) else b
    alpha, beta, c = call.get("alpha", 1.0), call.get("beta", 1.0), call.input(2)
    if c is None:
        return alpha * (a @ b)
    return torch.addmm(c, a, b, beta=beta, alpha=alpha)


def _reshape(call: Call) -> Tensor:
    x = call.inputs[0]
    shape = call.ints("shape", 1) or []
    if not call.get("allowzero", 0):
        shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return x.reshape(shape)


def _flatten(call: Call) -> Tensor:
    x, axis = call.inputs[0], call.get("axis", 1)
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


def _squeeze(call: Call) -> Tensor:
    x, axes = call.inputs[0], call.ints("axes", 1)
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(call: Call) -> Tensor:
    x, axes = call.inputs[0], call.ints("axes", 1) or []
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _slice(call: Call) -> Tensor:
    x = call.inputs[0]
    starts, ends = call.ints("starts", 1) or [], call.ints("ends", 2) or []
    axes = call.ints("axes", 3) or list(range(len(starts)))
    steps = call.ints("steps", 4) or [1] * len(starts)
    call.require(min(steps) > 0, "Slice that walks backwards")
    place = [slice(None)] * x.dim()
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place[axis] = slice(start, end, step)
    return x[tuple(place)]


def _split(call: Call) -> Tensor:
    x, axis = call.inputs[0], call.get("axis", 0)
    sizes = call.ints("split", 1)
    if sizes is None:
        return torch.split(x, -(-x.shape[axis] // call.outputs), dim=axis)
    return torch.split(x, sizes, dim=axis)


def _gather(call: Call) -> Tensor:
    x, index = call.inputs
    axis = call.get("axis", 0) % x.dim()
    flat = index.reshape(-1).long() % x.shape[axis]
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return x.index_select(axis, flat).reshape(shape)


def _pad(call: Call) -> Tensor:
    x, pads = call.inputs[0], call.ints("pads", 1) or []
    call.require(call.get("mode", b"constant") == b"constant", "Pad that is not constant")
    call.require(call.input(3) is None, "Pad with axes")
    given = call.input(2)
    value = float(given) if given is not None else call.get("value", 0.0)
    rank = x.dim()
    pairs = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])]
    return functional.pad(x, pairs, value=value)


def _resize(call: Call) -> Tensor:
    x = call.inputs[0]
    call.require(call.get("mode", b"nearest") == b"nearest", "Resize that is not nearest")
    if call.input(3) is not None:
        size = call.ints("sizes", 3) or []
        factors = [new / old for new, old in zip(size, x.shape, strict=True)]
    else:
        given = call.attributes.get("scales") or call.inputs[min(2, len(call.inputs) - 1)].tolist()
        factors = [float(item) for item in given]
    # Only integer factors: for those, all of the standard's rounding modes agree.
    whole = factors[:2] == [1, 1] and all(f == int(f) for f in factors)
    call.require(whole, f"Resize by {factors}")
    return x.repeat_interleave(int(factors[2]), 2).repeat_interleave(int(factors[3]), 3)


def _softmax(call: Call) -> Tensor:
    x = call.inputs[0]
    if call.opset >= 13:
        return torch.softmax(x, call.get("axis", -1))
    axis = call.get("axis", 1) % x.dim()
    # Before opset 13, all axes from this one on were flattened into one.
    return torch.softmax(x.flatten(axis), -1).reshape(x.shape)


def _reduce(function: Callable[..., Tensor]) -> Callable[[Call], Tensor]:
    def run(call: Call) -> Tensor:
        x, axes = call.inputs[0], call.ints("axes", 1)
        keep = bool(call.get("keepdims", 1))
        return function(x, tuple(axes or range(x.dim())), keep)

    return run


def _cumsum(call: Call) -> Tensor:
    plain = not call.get("exclusive", 0) and not call.get("reverse", 0)
    call.require(plain, "CumSum that is exclusive or reversed")
    return torch.cumsum(call.inputs[0], int(call.inputs[1]))


def _constant_of_shape(call: Call) -> Tensor:
    value = call.attributes.get("value")
    shape = call.ints("shape", 0) or []
    return torch.zeros(shape) if value is None else value.reshape(()).expand(shape)


_TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64,
}  # fmt: skip


def _cast(call: Call) -> Tensor:
    kind = call.attributes["to"]
    call.require(kind in _TYPES, f"Cast to type {kind}")
    return call.inputs[0].to(_TYPES[kind])


def _divide(call: Call) -> Tensor:
    a, b = call.inputs
    if a.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


def _one(function: Callable[[Tensor], Tensor]) -> Callable[[Call], Tensor]:
    return lambda call: function(call.inputs[0])


def _two(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Call], Tensor]:
    return lambda call: function(call.inputs[0], call.inputs[1])


OPERATORS: Mapping[str, Callable[[Call], Tensor]] = {
    "Add": _two(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda call: torch.cat(call.inputs, call.attributes["axis"]),
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "Cos": _one(torch.cos),
    "CumSum": _cumsum,
    "Div": _divide,
    "Dropout": _one(lambda x: x),
    "Erf": _one(torch.erf),
    "Exp": _one(torch.exp),
    "Expand": lambda call: call.inputs[0].expand(
        torch.broadcast_shapes(call.inputs[0].shape, call.inputs[1].tolist())
    ),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _one(lambda x: x.mean((2, 3), keepdim=True)),
    "Identity": _one(lambda x: x),
    "LeakyRelu": lambda call: functional.leaky_relu(call.inputs[0], call.get("alpha", 0.01)),
    "MatMul": _two(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _two(torch.mul),
    "Not": _one(torch.logical_not),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _two(torch.pow),
    "ReduceL2": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "Relu": _one(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda call: torch.tensor(call.inputs[0].shape),
    "Sigmoid": _one(torch.sigmoid),
    "Sin": _one(torch.sin),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _one(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _two(torch.sub),
    "Tanh": _one(torch.tanh),
    "Transpose": lambda call: call.inputs[0].permute(call.attributes["perm"]),
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
}
