"""ONNX Runtime, the default; on other devices than the CPU, what really runs is checked."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from faceprint._onnxruntime import errors as ort_errors
from faceprint._onnxruntime import onnxruntime as ort
from faceprint.errors import CardError, ChecksumError, ModelError, RuntimeUnavailableError
from faceprint.runtime import providers
from faceprint.runtime.blobs import (
    cannot_run,
    check_blob,
    damaged,
    looks_like_onnx,
    one_input,
    require_file,
    run_batched,
)
from faceprint.runtime.session import RuntimeOptions, SessionInfo, TensorSpec
from faceprint.types import Array

__all__ = ["OnnxRuntimeSession", "accelerators", "check_graph", "open_session"]

_CPU = "CPUExecutionProvider"
# ONNX Runtime's errors and ours; tests/contract/test_runtimes.py fails if one is missing. Those
# that are neither the file's nor the graph's fault are RuntimeUnavailableError.
_MEANING: dict[str, type[ModelError]] = {
    "InvalidProtobuf": ChecksumError,
    "NoModel": ChecksumError,
    "NoSuchFile": ChecksumError,
    "Fail": CardError,
    "InvalidArgument": CardError,
    "InvalidGraph": CardError,
    "NotFound": CardError,
    "NotImplemented": CardError,
    "RuntimeException": CardError,
    "DeviceReset": RuntimeUnavailableError,
    "EPFail": RuntimeUnavailableError,
    "EngineError": RuntimeUnavailableError,
    "ModelLoadCanceled": RuntimeUnavailableError,
    "ModelLoaded": RuntimeUnavailableError,
    "ModelRequiresCompilation": RuntimeUnavailableError,
}
_ERRORS: tuple[type[Exception], ...] = tuple(
    getattr(ort_errors, name) for name in _MEANING if hasattr(ort_errors, name)
)


_IN_FLIGHT = 2
"""Calls that an accelerator gets at once: one is copied while the other is computed, and memory is
bounded."""


class OnnxRuntimeSession:
    """A graph on ONNX Runtime; `run` may be called from several threads.

    Raises:
        RuntimeUnavailableError: the provider asked for is missing, or not the one that runs.
        ModelMissingError, ChecksumError, CardError: the file is missing or damaged, or is a graph
            that ONNX Runtime can't run.
    """

    def __init__(self, model: Path, options: RuntimeOptions) -> None:
        try:
            self._session = _open(str(require_file(model)), options)
            inputs = [_spec(node) for node in self._session.get_inputs()]
            outputs = tuple(_spec(node) for node in self._session.get_outputs())
        except _ERRORS as error:
            raise _translated(error, model) from error
        except UnicodeDecodeError as error:  # a tensor's name, or one in a message
            raise ChecksumError(f"{model.name}: damaged: a name is not text ({error})") from error
        self._model, self._device = model, options.device
        self._turns = None if options.device == "cpu" else threading.BoundedSemaphore(_IN_FLIGHT)
        self._input = one_input(model, inputs)
        provider = self._session.get_providers()[0]
        self.info = SessionInfo(
            "onnxruntime",
            ort.__version__,
            options.device,
            (self._input,),
            outputs,
            None if self._turns is None else providers.nodes_on(self._session, provider),
        )

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        return run_batched(self._run, check_blob(self._input, blob), self._input.shape[0])

    def _run(self, blob: Array) -> list[Array]:
        try:
            if self._turns is None:
                return self._call(blob)
            with self._turns:
                return self._call(blob)
        except _ERRORS as error:
            if self._turns is not None:  # the CPU has the same graph: the device is to blame
                reason = str(error).strip().splitlines()[0]
                where = f"{self._model.name} on {self._device}"
                raise RuntimeUnavailableError(f"{where}: {reason}") from error
            raise _translated(error, self._model) from error

    def _call(self, blob: Array) -> list[Array]:
        outputs: list[Array] = self._session.run(None, {self._input.name: blob})
        return outputs


open_session = OnnxRuntimeSession
accelerators = providers.accelerators


def check_graph(model: Path) -> None:
    """Refuse a graph that ONNX Runtime does not take; nothing is optimized or run.

    Raises:
        ModelMissingError, ChecksumError, CardError: no file, a damaged one, a graph that is not
            valid or that ONNX Runtime has no operators for.
    """
    path = require_file(model)
    status = path.stat()
    _check(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _check(path: Path, size: int, mtime_ns: int) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        ort.InferenceSession(str(path), options, providers=[_CPU])
    except _ERRORS as error:
        raise _translated(error, path) from error
    except UnicodeDecodeError as error:
        raise ChecksumError(f"{path.name}: damaged: a name is not text ({error})") from error


def _open(model: str, options: RuntimeOptions) -> Any:
    chosen = _session_options(options)
    if options.device == "cpu":
        return ort.InferenceSession(model, chosen, providers=[_CPU])
    return providers.open_on(options.device, model, chosen, threads=options.thread_count())


def _session_options(options: RuntimeOptions) -> Any:
    ort.disable_telemetry_events()
    chosen = ort.SessionOptions()
    chosen.intra_op_num_threads = options.thread_count()
    chosen.inter_op_num_threads = 1
    chosen.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    chosen.log_severity_level = 3
    spinning = "1" if options.spinning else "0"
    chosen.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    for key, value in options.extra.items():
        chosen.add_session_config_entry(key, value)
    return chosen


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return TensorSpec(node.name, shape)


def _translated(error: Exception, model: Path) -> ModelError:
    kind = _MEANING[type(error).__name__]
    reason = str(error).strip().splitlines()[0]
    # An empty file is a valid message without a graph, so CardError needs a second look.
    if kind is ChecksumError or (kind is CardError and not looks_like_onnx(model)):
        return damaged(model, reason)
    if kind is CardError:
        return cannot_run(model, f"ONNX Runtime {ort.__version__}", reason)
    return kind(f"{model.name}: {reason}")
