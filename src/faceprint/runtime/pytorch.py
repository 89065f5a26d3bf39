"""PyTorch: a small interpreter of ONNX graphs, operator by operator (torch_operators.py).

onnx2torch is not used: it imports torchvision without need and refuses old graphs.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint import _forks
from faceprint._optional import require
from faceprint.errors import ModelError, RuntimeUnavailableError
from faceprint.runtime.blobs import check_blob, no_device, one_input, require_file, run_batched
from faceprint.runtime.graph import load_graph
from faceprint.runtime.session import RuntimeOptions, SessionInfo
from faceprint.types import Array

__all__ = ["PyTorchSession", "accelerators", "open_session"]

_IN_FLIGHT = 2
"""Calls that an accelerator gets at once; bounds its memory."""


class PyTorchSession:
    """A graph on PyTorch; `run` may be called from several threads.

    PyTorch keeps the number of threads for each calling thread, so each call sets it. On CUDA,
    TF32 is turned off for the whole process.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        RuntimeUnavailableError: the device is not available.
        ModelMissingError, ChecksumError, CardError: the file is missing or damaged, or has an
            operator that is not implemented.
    """

    def __init__(self, model: Path, options: RuntimeOptions) -> None:
        self._torch = torch = require("torch", extra="torch")
        from faceprint.runtime.torch_steps import TorchSteps

        self._device = _device(torch, options.device)
        self._turns = threading.BoundedSemaphore(_IN_FLIGHT)
        graph = load_graph(require_file(model), extra="torch")
        self._input = one_input(model, graph.inputs)
        self._weights = {name: self._tensor(value) for name, value in graph.weights.items()}
        self._steps = TorchSteps(graph, model.name, self._tensor)
        # OpenMP's threads stay with the parent: with more than one, a forked child hangs.
        threads = 1 if _forks.inherited("torch") else options.thread_count()
        self._name, self._threads = model.name, threads
        version = str(torch.__version__).split("+")[0]
        self.info = SessionInfo("pytorch", version, options.device, (self._input,), graph.outputs)

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        return run_batched(self._run, check_blob(self._input, blob), self._input.shape[0])

    def _run(self, blob: Array) -> list[Array]:
        if self._device.type == "cpu":
            return self._call(blob)
        try:
            with self._turns:
                return self._call(blob)
        except ModelError:
            raise  # is a RuntimeError too
        except RuntimeError as error:  # of a driver, or of its memory
            reason = str(error).strip().splitlines()[0]
            where = f"{self._name} on {self._device}"
            raise RuntimeUnavailableError(f"{where}: {reason}") from error

    def _call(self, blob: Array) -> list[Array]:
        torch = self._torch
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            found = self._steps.run({self._input.name: self._tensor(blob)}, self._weights)
            return [np.array(value.float().cpu().numpy(), np.float32) for value in found]

    def _tensor(self, value: NDArray[Any]) -> Any:
        # A copy: PyTorch would share the memory of a read-only array.
        return self._torch.from_numpy(np.array(value)).to(self._device)


open_session = PyTorchSession


def accelerators() -> list[str]:
    """Devices that are listed here, best first.

    Raises:
        MissingExtraError: torch is not installed.
    """
    torch = require("torch", extra="torch")
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, there in here.items() if there]


def _device(torch: Any, requested: str) -> Any:
    name, _, number = requested.partition(":")
    here = ["cpu", *accelerators()]
    if name not in here:
        instead = f"this PyTorch runs on {', '.join(here)} here"
        raise no_device(requested, instead, "install the build for that device")
    if number and (name != "cuda" or not number.isdecimal()):
        raise RuntimeUnavailableError(f"pytorch has no device {requested!r}")
    if number and int(number) >= torch.cuda.device_count():
        instead = f"there are {torch.cuda.device_count()} here"
        raise no_device(requested, instead, "choose one of them")
    if name == "cuda":
        # Otherwise convolutions keep ten bits of the mantissa.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device(requested)
