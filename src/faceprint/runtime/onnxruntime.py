"""ONNX Runtime, the default: asks for a provider and checks that it is the one that runs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from faceprint._onnxruntime import errors as ort_errors
from faceprint._onnxruntime import onnxruntime as ort
from faceprint.errors import CardError, ChecksumError, ModelError, RuntimeUnavailableError
from faceprint.runtime.blobs import (
    cannot_run,
    check_blob,
    damaged,
    looks_like_onnx,
    no_device,
    one_input,
    require_file,
    run_batched,
)
from faceprint.runtime.session import RuntimeOptions, SessionInfo, TensorSpec
from faceprint.types import Array

__all__ = ["OnnxRuntimeSession", "check_graph", "open_session"]

_CPU = "CPUExecutionProvider"
# device -> (provider, the distribution that brings it)
_PROVIDERS = {
    "cpu": (_CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime (on macOS)"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}

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


class OnnxRuntimeSession:
    """A graph on ONNX Runtime; `run` may be called from several threads.

    Raises:
        RuntimeUnavailableError: the provider asked for is missing, or not the one that runs.
        ModelMissingError, ChecksumError, CardError: the file is missing or damaged, or is a graph
            that ONNX Runtime can't run.
    """

    def __init__(self, model: Path, options: RuntimeOptions) -> None:
        provider, source = _provider(options.device)
        try:
            self._session = ort.InferenceSession(
                str(require_file(model)), _session_options(options), providers=[provider]
            )
            inputs = [_spec(node) for node in self._session.get_inputs()]
            outputs = tuple(_spec(node) for node in self._session.get_outputs())
        except _ERRORS as error:
            raise _translated(error, model) from error
        except UnicodeDecodeError as error:  # a tensor's name, or one in a message
            raise ChecksumError(f"{model.name}: damaged: a name is not text ({error})") from error
        running = self._session.get_providers()
        if running[0] != provider:
            remedy = f"install {source} and the driver's libraries"
            raise no_device(options.device, f"{running[0]} would run", remedy)
        self._model = model
        self._input = one_input(model, inputs)
        self.info = SessionInfo(
            "onnxruntime", ort.__version__, options.device, (self._input,), outputs
        )

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        return run_batched(self._run, check_blob(self._input, blob), self._input.shape[0])

    def _run(self, blob: Array) -> list[Array]:
        try:
            outputs: list[Array] = self._session.run(None, {self._input.name: blob})
        except _ERRORS as error:
            raise _translated(error, self._model) from error
        return outputs


open_session = OnnxRuntimeSession


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


def _provider(device: str) -> tuple[str, str]:
    if device not in _PROVIDERS:
        known = ", ".join(_PROVIDERS)
        raise RuntimeUnavailableError(f"onnxruntime has no device {device!r}; it has {known}")
    provider, source = _PROVIDERS[device]
    available = ort.get_available_providers()
    if provider not in available:
        instead = f"this onnxruntime has no {provider} and {_CPU} would run"
        raise no_device(device, instead, f"install {source}")
    return provider, source


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
