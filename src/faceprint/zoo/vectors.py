"""Read test vectors of the ONNX Model Zoo: `test_data_set_N/input_0.pb`, `output_0.pb`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceprint._optional import require
from faceprint.errors import CardError
from faceprint.types import Array

__all__ = ["Vectors", "read_vectors"]

_LIMIT = 256 << 20
_NUMBER = re.compile(r"_(\d+)(?:\.pb)?$")


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """An input and the expected outputs."""

    name: str
    input: Array
    outputs: tuple[Array, ...]


def read_vectors(folder: Path) -> Iterator[Vectors]:
    """Yield the test data sets beside a model, in order.

    Raises:
        CardError: a file that is no tensor.
        MissingExtraError: the onnx package is not installed.
    """
    for data_set in sorted(folder.glob("test_data_set_*"), key=_number):
        source = data_set / "input_0.pb"
        outputs = sorted(data_set.glob("output_*.pb"), key=_number)
        if source.is_file() and outputs:
            yield Vectors(data_set.name, _tensor(source), tuple(_tensor(path) for path in outputs))


def _number(path: Path) -> int:
    found = _NUMBER.search(path.name)
    return int(found[1]) if found else 0


def _tensor(path: Path) -> Array:
    onnx = require("onnx", extra="onnx")
    decode_error = require("google.protobuf.message", extra="onnx").DecodeError
    if path.stat().st_size > _LIMIT:
        raise CardError(f"{path}: over {_LIMIT} bytes; not a test vector")
    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise CardError(f"{path}: a test vector must contain its data")
        return np.asarray(require("onnx.numpy_helper", extra="onnx").to_array(tensor), np.float32)
    except (decode_error, ValueError, TypeError) as error:
        if isinstance(error, CardError):
            raise
        raise CardError(f"{path}: not a tensor ({error})") from error
