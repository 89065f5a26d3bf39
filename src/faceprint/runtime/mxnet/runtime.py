"""Sessions on MXNet: each is a child process that runs worker.py."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from faceprint import _forks
from faceprint.errors import CardError, RuntimeUnavailableError
from faceprint.runtime.blobs import check_blob, no_device, one_input, require_file, run_batched
from faceprint.runtime.graph import Graph, load_graph
from faceprint.runtime.mxnet import environment
from faceprint.runtime.mxnet.worker import read_frame, write_frame
from faceprint.runtime.session import RuntimeOptions, SessionInfo
from faceprint.types import Array

__all__ = ["MxnetSession", "open_session"]


class MxnetSession:
    """A graph on MXNet; calls from several threads take turns.

    `options.extra["python"]` names the interpreter of another environment with MXNet.

    Raises:
        MissingExtraError: the onnx package, which reads the file, is not installed.
        RuntimeUnavailableError: MXNet's environment does not exist; or another device.
        ModelMissingError, ChecksumError, CardError: the file is missing or damaged, or is a graph
            that MXNet can't run.
    """

    def __init__(self, model: Path, options: RuntimeOptions) -> None:
        if options.device != "cpu":
            instead = "the mxnet of the package index runs only on the CPU"
            raise no_device(options.device, instead, "choose another runtime")
        path = require_file(model)
        graph = load_graph(path, extra="onnx")
        self._input = one_input(model, graph.inputs)
        self._name, self._lock = model.name, threading.Lock()
        # MXNet has no arithmetic on shapes; where a graph has some, it is folded for one row.
        self._rows = 1 if _computes_shapes(graph) else self._input.shape[0]
        if _computes_shapes(graph):
            graph = _folded(path)
        self._process, self._log = _start(_interpreter(options), options.thread_count())
        self._close = weakref.finalize(self, _stop, self._process, self._log)
        _forks.call_after_fork(self)
        loaded = self._ask(_description(graph), list(graph.weights.values()))[0]
        self.peak_memory = int(loaded["peak"])
        self.info = SessionInfo(
            "mxnet", str(loaded["version"]), "cpu", (self._input,), graph.outputs
        )

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        return run_batched(self._run, check_blob(self._input, blob), self._rows)

    def close(self) -> None:
        """End the child process; also done when the session is garbage-collected."""
        self._close()

    def after_fork(self) -> None:
        """Let go of the parent's process in a forked child; called by the interpreter."""
        self._close.detach()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                os.close(pipe.fileno())
        _forks.abandon(self._process)

    def _run(self, blob: Array) -> Sequence[Array]:
        header, arrays = self._ask({"do": "run"}, [blob])
        self.peak_memory = int(header["peak"])
        return arrays

    def _ask(
        self, header: dict[str, Any], arrays: list[NDArray[Any]]
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        source, sink = cast("IO[bytes]", self._process.stdout), self._process.stdin
        with self._lock:
            try:
                write_frame(cast("Any", sink), header, arrays)
                answer = read_frame(cast("Any", source))
            except (OSError, ValueError):
                answer = None
        if answer is None:
            self._log.seek(0)
            lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit code {self._process.poll()}"
            raise RuntimeUnavailableError(f"the MXNet process ended: {reason}")
        if "error" in answer[0]:
            raise CardError(
                f"{self._name}: a graph that MXNet can't run ({answer[0]['error']}); "
                "use another runtime"
            )
        return answer


open_session = MxnetSession


def _interpreter(options: RuntimeOptions) -> Path:
    chosen = options.extra.get("python")
    found = Path(chosen) if chosen else environment.python()
    if found is None:
        raise RuntimeUnavailableError(
            "the mxnet runtime needs its own environment, which does not exist yet; "
            "`faceprint models parity MODEL --runtimes mxnet` installs it, after asking"
        )
    return found


def _start(python: Path, threads: int) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process, in _stop
    variables = {**os.environ, "OMP_NUM_THREADS": str(threads), "MXNET_CPU_WORKER_NTHREADS": "1"}
    worker = Path(__file__).with_name("worker.py")
    try:
        process = subprocess.Popen(
            [str(python), "-I", str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=variables,
        )
    except OSError as error:
        log.close()
        raise RuntimeUnavailableError(f"{python} can't be started ({error.strerror})") from error
    return process, log


def _stop(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue  # what was still to be written to a dead process
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()


def _description(graph: Graph) -> dict[str, Any]:
    return {
        "do": "load",
        "input": {
            "name": graph.inputs[0].name,
            "shape": [size or 0 for size in graph.inputs[0].shape],
        },
        "outputs": [item.name for item in graph.outputs],
        "weights": list(graph.weights),
        "steps": [
            {
                "op": step.op,
                "inputs": step.inputs,
                "outputs": step.outputs,
                "attributes": {name: _plain(value) for name, value in step.attributes.items()},
            }
            for step in graph.steps
        ],
    }


def _plain(value: Any) -> Any:
    """Return an attribute's value as JSON."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value if isinstance(value, (int, float, str)) else list(value)


def _computes_shapes(graph: Graph) -> bool:
    return any(step.op == "Shape" for step in graph.steps)


def _folded(model: Path) -> Graph:
    """Return the graph for one row, with everything computed that doesn't depend on the input."""
    from faceprint._onnxruntime import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Basic only: it folds constants, and every result is still an ONNX operator.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(target)
        import onnx

        proto = onnx.load(str(model))
        weights = {item.name for item in proto.graph.initializer}
        for item in proto.graph.input:
            if item.name not in weights:
                batch = item.type.tensor_type.shape.dim[0]
                batch.Clear()
                batch.dim_value = 1
        ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return load_graph(target, extra="onnx")
