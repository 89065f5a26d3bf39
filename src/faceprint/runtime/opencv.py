"""OpenCV's DNN module: installed with faceprint, and the runtime that needs the least memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

from faceprint import _onnx_reader
from faceprint.errors import CardError, RuntimeUnavailableError
from faceprint.runtime.blobs import (
    cannot_run,
    check_blob,
    damaged,
    no_device,
    one_input,
    require_file,
    run_batched,
)
from faceprint.runtime.session import RuntimeOptions, SessionInfo, TensorSpec
from faceprint.types import Array

__all__ = ["OpenCvSession", "open_session"]


_TURN = threading.RLock()
"""Held while a graph runs: the number of threads is a setting of the whole process.

A fork waits for it, as a child would inherit OpenCV's own locks as they are. Reentrant, so that a
signal's handler may fork.
"""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_TURN.acquire, after_in_parent=_TURN.release, after_in_child=_TURN.release
    )

_OLDEST = 5
"""Major version: with 4.10 to 4.13 three of eleven models fail their golden values."""


_ALL_NEEDED = frozenset(
    {"Add", "BatchNormalization", "Concat", "Div", "MatMul", "Mul", "PRelu", "Reshape", "Sub"}
)
"""Operators without inputs that may be left out."""


class OpenCvSession:
    """A graph on OpenCV DNN; calls take turns, those of other sessions too.

    OpenCV's number of threads is changed only where `options.threads` is given, and only while a
    graph runs.

    Raises:
        RuntimeUnavailableError: another device than the CPU, or an older OpenCV.
        ModelMissingError, ChecksumError, CardError: the file is missing or damaged, or is a graph
            that OpenCV can't run.
    """

    def __init__(self, model: Path, options: RuntimeOptions) -> None:
        import cv2

        if int(cv2.__version__.split(".")[0]) < _OLDEST:
            raise RuntimeUnavailableError(
                f"the opencv runtime needs OpenCV {_OLDEST} or newer, this is {cv2.__version__}: "
                "older ones refuse some graphs and give wrong answers on others"
            )
        if options.device != "cpu":
            instead = "the OpenCV of the package index runs graphs only on the CPU"
            raise no_device(options.device, instead, "choose another runtime")
        path = require_file(model)
        try:
            outline = _onnx_reader.scan(path)
        except ValueError as error:
            raise damaged(model, error) from error
        inputs = [TensorSpec(*item) for item in outline.data_inputs]
        self._input = one_input(model, inputs)
        _refuse_fatal(outline, model.name)
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise _refused(error, model) from error
        self._names = [name for name, _ in outline.outputs]
        self._model, self._threads = model, options.threads
        outputs = tuple(TensorSpec(*item) for item in outline.outputs)
        self.info = SessionInfo("opencv", cv2.__version__, "cpu", (self._input,), outputs)

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        return run_batched(self._run, check_blob(self._input, blob), self._input.shape[0])

    def _run(self, blob: Array) -> list[Array]:
        import cv2

        with _TURN:
            before = cv2.getNumThreads()
            if self._threads is not None:
                cv2.setNumThreads(self._threads)
            try:
                self._net.setInput(blob, self._input.name)
                outputs = self._net.forward(self._names)
            except cv2.error as error:
                raise _refused(error, self._model) from error
            finally:
                if self._threads is not None:
                    cv2.setNumThreads(before)
            # Copied: OpenCV writes the next call's outputs into the same memory.
            return [np.array(part, np.float32) for part in outputs]


open_session = OpenCvSession


def _refuse_fatal(outline: _onnx_reader.GraphOutline, name: str) -> None:
    """Refuse graphs on which OpenCV 5.0 ends the process.

    These are graphs with subgraphs (valid ones too), with tensors that no node or two nodes make,
    with missing inputs, or with names that are not text.

    Raises:
        CardError: such a graph.
    """
    known = set(outline.dims) | {item for item, _ in outline.inputs}
    named = known.union(*(node.inputs + node.outputs for node in outline.nodes))
    for item in sorted(named):
        if not item.isascii() and any("\ud800" <= letter <= "\udfff" for letter in item):
            raise CardError(f"{name}: not a sound graph: a name that is not text, {item!r}")
    for node in outline.nodes:
        if node.op in ("If", "Loop", "Scan"):
            raise CardError(f"{name}: OpenCV DNN can't run {node.op}; use another runtime")
        for at, item in enumerate(node.inputs):
            if item not in known and (item or at == 0 or node.op in _ALL_NEEDED):
                raise CardError(f"{name}: not a sound graph: {node.op} takes {item!r}, not made")
        for item in node.outputs:
            if item and item in known:
                raise CardError(f"{name}: not a sound graph: {item!r} is made twice")
            known.add(item)
    for item, _ in outline.outputs:
        if item not in known:
            raise CardError(f"{name}: not a sound graph: no node makes its output {item!r}")


def _refused(error: Exception, model: Path) -> CardError:
    return cannot_run(model, "OpenCV DNN", " ".join(str(error).split())[:300])
