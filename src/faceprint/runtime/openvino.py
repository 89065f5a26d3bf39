"""OpenVINO: Intel's runtime; the fastest on small PRelu networks (docs/runtimes.md)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from faceprint import _openvino
from faceprint.errors import ChecksumError, ModelError
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

__all__ = ["OpenVinoSession", "accelerators", "open_session"]


class OpenVinoSession:
    """A graph on OpenVINO; each thread that calls `run` has its own inference request.

    Raises:
        MissingExtraError: openvino is not installed.
        RuntimeUnavailableError: the device is not available.
        ModelMissingError, ChecksumError, CardError: the file is missing or damaged, or is a graph
            that OpenVINO can't run.
    """

    def __init__(self, model: Path, options: RuntimeOptions) -> None:
        openvino = _openvino.load()
        core = openvino.Core()
        device = _device(options.device, core.available_devices)
        try:
            graph = core.read_model(str(require_file(model)))
            inputs = [_spec(port, i) for i, port in enumerate(graph.inputs)]
            self._input = one_input(model, inputs)
            self._compiled = core.compile_model(graph, device, _settings(device, options))
        except ModelError:
            raise  # is a RuntimeError too, with the better message
        except RuntimeError as error:
            raise _translated(error, model) from error
        except UnicodeDecodeError as error:  # of a message that names what it can't take
            raise ChecksumError(f"{model.name}: damaged: a name is not text ({error})") from error
        self._outputs = tuple(self._compiled.outputs)
        self._requests = threading.local()
        self._model = model
        self.info = SessionInfo(
            "openvino",
            openvino.__version__.split("-")[0],
            options.device,
            (self._input,),
            tuple(_spec(port, i) for i, port in enumerate(graph.outputs)),
        )

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        return run_batched(self._run, check_blob(self._input, blob), self._input.shape[0])

    def _run(self, blob: Array) -> list[Array]:
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self._compiled.create_infer_request()
        try:
            # Not `infer`, which leaves a stream of OpenVINO's on this thread. A forked child would
            # delete it as it ends, and wait forever for a lock that was held at the fork.
            request.start_async([blob], share_inputs=True)
            request.wait()
        except RuntimeError as error:
            raise _translated(error, self._model) from error
        # Copied: the request's buffers are written again by the next call.
        return [np.array(request.get_tensor(port).data, np.float32) for port in self._outputs]


open_session = OpenVinoSession


def accelerators() -> list[str]:
    """Devices that are listed here: `gpu`, as NPUs compute in half precision.

    Raises:
        MissingExtraError: openvino is not installed.
    """
    found = _openvino.load().Core().available_devices
    return ["gpu"] if any(name.split(".")[0] == "GPU" for name in found) else []


def _device(requested: str, available: list[str]) -> str:
    device = requested.upper()
    if not any(name.split(".")[0] == device.split(".")[0] for name in available):
        instead = f"OpenVINO has {', '.join(available) or 'none'} here"
        raise no_device(requested, instead, "install that device's driver")
    return device


def _settings(device: str, options: RuntimeOptions) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        # Some CPUs default to bfloat16, which changes embeddings by more than parity allows.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    if device == "CPU":
        chosen["INFERENCE_NUM_THREADS"] = options.thread_count()
        # Pinned threads take a lock as they begin and end work, which a forked child may inherit
        # locked; and the system can't move them off cores that other programs use.
        chosen["ENABLE_CPU_PINNING"] = False
    return chosen | dict(options.extra)


def _spec(port: Any, index: int) -> TensorSpec:
    name = port.get_any_name() if port.get_names() else str(index)
    shape = port.get_partial_shape()
    sizes = tuple(size.get_length() if size.is_static else None for size in shape)
    return TensorSpec(name, tuple(size if size else None for size in sizes))


def _translated(error: RuntimeError, model: Path) -> ModelError:
    reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "").strip()
    if model.is_file() and not looks_like_onnx(model):
        return damaged(model, reason)
    return cannot_run(model, "OpenVINO", reason)
