"""OpenCV's DNN module: already installed with faceprint, and the one that needs least memory."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from faceprint import _onnx_reader
from faceprint.errors import CardError, ChecksumError, RuntimeUnavailableError
from faceprint.runtime.blobs import check_blob, one_input, require_file, run_batched
from faceprint.runtime.session import RuntimeOptions, SessionInfo, TensorSpec
from faceprint.types import Array

__all__ = ["OpenCvSession", "open_session"]


_OLDEST = 5
"""Major version: with 4.10 to 4.13 three of eleven models fail their golden values."""


_ALL_NEEDED = frozenset(
    {"Add", "BatchNormalization", "Concat", "Div", "MatMul", "Mul", "PRelu", "Reshape", "Sub"}
)
"""Operators without inputs that may be left out."""


class OpenCvSession:
    """A graph on OpenCV DNN; calls from several threads take turns.

    The number of threads is a setting of OpenCV as a whole: it is touched only where
    `options.threads` is given, and only while a graph runs.
    """

    def __init__(self, model: Path, options: RuntimeOptions) -> None:
        import cv2

        if int(cv2.__version__.split(".")[0]) < _OLDEST:
            raise RuntimeUnavailableError(
                f"the opencv runtime needs OpenCV {_OLDEST} or newer, this is {cv2.__version__}: "
                "older ones refuse some graphs and give wrong answers on others"
            )
        if options.device != "cpu":
            raise RuntimeUnavailableError(
                f"device {options.device!r} was asked for, but the OpenCV of the package index "
                "runs graphs on the CPU alone; choose device 'cpu' or another runtime"
            )
        path = require_file(model)
        try:
            sketch = _onnx_reader.scan(path)
        except ValueError as error:
            raise ChecksumError(
                f"{model.name}: not an ONNX file, or a damaged one; fetch it again ({error})"
            ) from error
        inputs = [TensorSpec(*item) for item in sketch.inputs if item[0] not in sketch.dims]
        self._input = one_input(model, inputs)
        _refuse_fatal(sketch, model.name)
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise _refused(error, model.name) from error
        self._names = [name for name, _ in sketch.outputs]
        self._name, self._threads, self._lock = model.name, options.threads, threading.Lock()
        outputs = tuple(TensorSpec(*item) for item in sketch.outputs)
        self.info = SessionInfo("opencv", cv2.__version__, "cpu", (self._input,), outputs)

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        return run_batched(self._run, check_blob(self._input, blob), self._input.shape[0])

    def _run(self, blob: Array) -> list[Array]:
        import cv2

        with self._lock:
            before = cv2.getNumThreads()
            if self._threads is not None:
                cv2.setNumThreads(self._threads)
            try:
                self._net.setInput(blob, self._input.name)
                outputs = self._net.forward(self._names)
            except cv2.error as error:
                raise _refused(error, self._name) from error
            finally:
                if self._threads is not None:
                    cv2.setNumThreads(before)
            # Copied: OpenCV writes the next call's outputs into the same memory.
            return [np.array(part, np.float32) for part in outputs]


def open_session(model: Path, options: RuntimeOptions) -> OpenCvSession:
    """Load an ONNX file.

    Raises:
        RuntimeUnavailableError: another device than the CPU.
        ModelMissingError, ChecksumError, CardError: no file, a damaged one, a graph it can't take.
    """
    return OpenCvSession(model, options)


def _refuse_fatal(sketch: _onnx_reader.GraphOutline, name: str) -> None:
    """Refuse what OpenCV 5.0 answers by ending the process.

    Graphs within graphs, sound ones too; and tensors that nobody makes, that two nodes make, or
    that an operator needs and is not given; names that are not text.

    Raises:
        CardError: such a graph.
    """
    known = set(sketch.dims) | {item for item, _ in sketch.inputs}
    named = known.union(*(node.inputs + node.outputs for node in sketch.nodes))
    for item in sorted(named):
        if not item.isascii() and any("\ud800" <= letter <= "\udfff" for letter in item):
            raise CardError(f"{name}: not a sound graph: a name that is not text, {item!r}")
    for node in sketch.nodes:
        if node.op in ("If", "Loop", "Scan"):
            raise CardError(f"{name}: OpenCV DNN can't run {node.op}; use another runtime")
        for at, item in enumerate(node.inputs):
            if item not in known and (item or at == 0 or node.op in _ALL_NEEDED):
                raise CardError(f"{name}: not a sound graph: {node.op} takes {item!r}, not made")
        for item in node.outputs:
            if item and item in known:
                raise CardError(f"{name}: not a sound graph: {item!r} is made twice")
            known.add(item)
    for item, _ in sketch.outputs:
        if item not in known:
            raise CardError(f"{name}: not a sound graph: no node makes its output {item!r}")


def _refused(error: Exception, name: str) -> CardError:
    reason = " ".join(str(error).split())[:300]
    return CardError(f"{name}: a graph that OpenCV DNN can't run ({reason})")
