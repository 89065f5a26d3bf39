"""What stands for numpy's functions in a pickle: numbers and arrays of numbers, nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from faceprint._plain_pickle import encode_latin1
from faceprint.errors import DatasetError

__all__ = ["NUMPY_CALLS"]

_NUMBER = re.compile("[fiu][1248]|b1")


class _Dtype:
    """A pickled `numpy.dtype`; its byte order comes as a state."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _NUMBER.fullmatch(code):
            raise DatasetError(f"an array of {code!r}; only numbers are read")
        self._code = code
        self._order = "<"

    def build(self, state: Any) -> None:
        self._order = ">" if state[1] == ">" else "<"

    def read(self, data: Any) -> np.ndarray:
        if not isinstance(data, bytes | bytearray):
            raise DatasetError("an array without bytes")
        return np.frombuffer(data, np.dtype(self._order + self._code))


class _Array:
    """A pickled `numpy.ndarray`; its shape and bytes come as a state."""

    def __init__(self, *_: object) -> None:
        self._values = np.zeros(0, np.float32)

    def build(self, state: Any) -> None:
        _, shape, dtype, columns_first, data = state
        if not isinstance(dtype, _Dtype):
            raise DatasetError("an array without a type")
        self._values = dtype.read(data).reshape(shape, order="F" if columns_first else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype)


def _scalar(dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, _Dtype):
        raise DatasetError("a number without a type")
    return dtype.read(data)[0].item()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.build((1, shape, dtype, order == "F", data))
    return array


def _class_name(*_: object) -> None:
    raise DatasetError("a call to numpy.ndarray; refused")


_FUNCTIONS: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("multiarray scalar", _scalar),
    ("multiarray _reconstruct", _Array),
    ("numeric _frombuffer", _from_buffer),
)
NUMPY_CALLS: dict[str, Callable[..., Any]] = {
    "_codecs encode": encode_latin1,
    "numpy dtype": _Dtype,
    "numpy ndarray": _class_name,
    **{f"numpy.{core}.{name}": call for core in ("core", "_core") for name, call in _FUNCTIONS},
}
"""For `Dialect.calls`; numpy's names before and since version 2."""
