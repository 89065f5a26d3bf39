"""The program that runs graphs on MXNet, inside the environment that environment.py makes.

It needs numpy and mxnet and never imports faceprint. Frames go over stdin
and stdout: eight bytes of length, a JSON header of that length, then the raw bytes of the arrays
that the header's `arrays` describes. No pickle, nothing is evaluated.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Arrays = list[Any]


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], Arrays] | None:
    """Read one frame; None at the end of the stream."""
    length = stream.read(8)
    if len(length) < 8:
        return None
    header = json.loads(stream.read(int.from_bytes(length, "little")))
    arrays = []
    for item in header["arrays"]:
        data = stream.read(item["bytes"])
        arrays.append(np.frombuffer(data, item["dtype"]).reshape(item["shape"]))
    return header, arrays


def write_frame(stream: BinaryIO, header: dict[str, Any], arrays: Arrays) -> None:
    """Write one frame."""
    described = [{"dtype": a.dtype.str, "shape": list(a.shape), "bytes": a.nbytes} for a in arrays]
    text = json.dumps({**header, "arrays": described}).encode()
    stream.write(len(text).to_bytes(8, "little"))
    stream.write(text)
    for array in arrays:
        stream.write(array.tobytes())
    stream.flush()


class Graph:
    """A symbol with its weights; one executor for each input shape, all sharing the weights."""

    def __init__(self, header: dict[str, Any], arrays: Arrays) -> None:
        import mxnet as mx

        self._mx, self._input = mx, header["input"]["name"]
        weights = dict(zip(header["weights"], arrays))  # noqa: B905 - runs on Python 3.9 too
        made = _translator()(mx, weights, header["input"], header["steps"]).finish(
            header["outputs"]
        )
        self._symbol, arguments, states = made
        self._arguments = {name: mx.nd.array(value) for name, value in arguments.items()}
        self._states = {name: mx.nd.array(value) for name, value in states.items()}
        self._executors: dict[tuple[int, ...], Any] = {}

    def run(self, blob: Any) -> Arrays:
        """Return the outputs in the graph's order."""
        executor = self._executors.get(blob.shape)
        if executor is None:
            if len(self._executors) >= 4:
                self._executors.clear()
            data = self._mx.nd.zeros(blob.shape)
            executor = self._symbol.bind(
                self._mx.cpu(),
                args={**self._arguments, self._input: data},
                aux_states=self._states,
                grad_req="null",
            )
            self._executors[blob.shape] = executor
        executor.arg_dict[self._input][:] = blob
        return [output.asnumpy() for output in executor.forward(is_train=False)]


def _translator() -> Any:
    """Return the class that builds symbols, from the two files beside this one.

    They are loaded by path: the program runs with -I, so that nothing near it hides the library.
    """
    bases = (_load("symbols").Symbols, _load("layers").Layers)
    return type("Translator", bases, {})


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peak_memory() -> int:
    """Return the peak memory of this process in bytes; 0 if the system doesn't tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    kilobytes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes[0]) * 1024 if kilobytes else 0


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer frames until the stream ends."""
    import mxnet as mx

    graph: Graph | None = None
    while (frame := read_frame(source)) is not None:
        header, arrays = frame
        try:
            if header["do"] == "load":
                graph = Graph(header, arrays)
                outputs: Arrays = []
            elif graph is None:
                raise ValueError("no graph is loaded")
            else:
                outputs = graph.run(arrays[0])
        except Exception as error:  # noqa: BLE001 - the border of a process: the reason goes back
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            write_frame(sink, {"error": reason}, [])
        else:
            answer = {"version": mx.__version__, "peak": peak_memory()}
            write_frame(sink, answer, outputs)


def main() -> None:
    """Keep stdout for frames, and send what libraries print to stderr."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
