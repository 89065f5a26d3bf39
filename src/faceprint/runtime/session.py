"""The protocol of all runtimes, and `open_session`, which loads a graph on one of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from faceprint import settings
from faceprint._external import refuse_outside
from faceprint._suggest import unknown_name
from faceprint.errors import UsageError
from faceprint.types import Array

__all__ = ["RUNTIMES", "RuntimeOptions", "Session", "SessionInfo", "TensorSpec", "open_session"]

RUNTIMES = ("onnxruntime", "openvino", "pytorch", "opencv", "mxnet")

_ENDS_THE_PROCESS = ("openvino", "opencv")
"""Their readers end the process on some graphs that are not valid."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A graph input or output: its name and shape, None where a dimension is free."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What really runs, as opposed to what was asked for.

    Attributes:
        nodes: the number of the graph's nodes that run on `device`, and of all of them; None on
            the CPU, and where the runtime does not say.
    """

    runtime: str
    version: str
    device: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How a session should run.

    Attributes:
        threads: number of threads; None for all available cores.
        device: `cpu`, or the runtime's name of an accelerator, such as `cuda` or `cuda:1`
            (docs/accelerators.md).
        spinning: idle worker threads spin instead of sleeping; faster on an idle machine, slower
            on a busy one.
        extra: settings for a single runtime.
    """

    threads: int | None = None
    device: str = "cpu"
    spinning: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)

    def thread_count(self) -> int:
        """Return the number of threads to start."""
        return self.threads or settings.available_cores()


class Session(Protocol):
    """A loaded graph with one input. Safe to call from several threads."""

    @property
    def info(self) -> SessionInfo:
        """What runs, on which device, with which tensors."""
        ...

    def run(self, blob: Array) -> tuple[Array, ...]:
        """Run the graph on a float32 blob, batch first.

        A graph whose batch size is fixed is run as often as the rows need.

        Returns:
            The outputs in the graph's order, float32.
        """
        ...


def open_session(
    model: Path,
    *,
    runtime: str | None = None,
    options: RuntimeOptions | None = None,
    trusted: bool = False,
) -> Session:
    """Load an ONNX file on a runtime.

    Args:
        model: path of the ONNX file.
        runtime: one of `RUNTIMES`; None for FACEPRINT_RUNTIME, else `onnxruntime`.
        trusted: the graph is known to be valid. Other graphs must be valid for ONNX Runtime
            before OpenVINO and OpenCV read them, as both can crash on invalid ones.

    Raises:
        UsageError: no runtime of that name.
        MissingExtraError: the runtime is not installed.
        RuntimeUnavailableError: another device than the one asked for would run.
        ChecksumError, CardError: the file is not a graph that can be loaded.
    """
    name = runtime or settings.default_runtime()
    if name not in RUNTIMES:
        raise UsageError(unknown_name("runtime", name, RUNTIMES))
    if model.is_file():  # if not, the runtime says so
        refuse_outside(model)
        if name in _ENDS_THE_PROCESS and not trusted:
            importlib.import_module("faceprint.runtime.onnxruntime").check_graph(model)
    place = "mxnet.runtime" if name == "mxnet" else name
    module = importlib.import_module(f"faceprint.runtime.{place}")
    return cast("Session", module.open_session(model, options or RuntimeOptions()))
