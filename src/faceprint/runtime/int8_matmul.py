"""Integer matrix products on ONNX Runtime: three to four times as fast as float32 ones.

numpy has no fast product of int8 matrices. `MatMulInteger` uses the processor's instructions for
them (such as AVX-512 VNNI). Sums are exact, so every machine gives the same answer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOP", "int8_matmul"]

TOP = 63
"""Largest code: seven bits. With eight, sums would overflow on processors without VNNI."""

_UINT8, _INT8, _INT32, _INTS = 2, 3, 6, 7  # of onnx.proto3
_OPSET, _IR = 17, 8


def int8_matmul(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
    """Multiply (m, d) and (n, d) codes in -`TOP`..`TOP`; returns (m, n) products.

    Runs on the calling thread only, and may be called from several threads at once.
    """
    shifted = (a + np.int8(TOP + 1)).view(np.uint8)
    products: NDArray[np.int32] = _session().run(None, {"a": shifted, "b": b})[0]
    return products


@lru_cache(maxsize=1)
def _session() -> Any:
    from faceprint._onnxruntime import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(_model(), options, providers=["CPUExecutionProvider"])


def _model() -> bytes:
    """Return an ONNX file of two nodes: b transposed, then (a - zero point) times b."""
    perm = _text(1, "perm") + _number(8, 1) + _number(8, 0) + _number(20, _INTS)
    turn = _text(1, "b") + _text(2, "bt") + _text(4, "Transpose") + _part(5, perm)
    multiply = _text(1, "a") + _text(1, "bt") + _text(1, "zero") + _text(2, "c")
    multiply += _text(4, "MatMulInteger")
    zero = _number(2, _UINT8) + _text(8, "zero") + _part(9, bytes([TOP + 1]))
    graph = _part(1, turn) + _part(1, multiply) + _text(2, "products") + _part(5, zero)
    graph += _part(11, _value("a", _UINT8, "m", "d")) + _part(11, _value("b", _INT8, "n", "d"))
    graph += _part(12, _value("c", _INT32, "m", "n"))
    return _number(1, _IR) + _part(8, _number(2, _OPSET)) + _part(7, graph)


def _value(name: str, kind: int, *dims: str) -> bytes:
    shape = b"".join(_part(1, _text(2, dim)) for dim in dims)
    return _text(1, name) + _part(2, _part(1, _number(1, kind) + _part(2, shape)))


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
