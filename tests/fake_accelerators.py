"""An ONNX Runtime with accelerators that are not there: sessions on the CPU under other names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

__all__ = ["FakeOnnxRuntime", "Plugin"]

CPU = "CPUExecutionProvider"


@dataclass
class Plugin:
    """A plugin package: its provider, and the kinds of hardware that it finds."""

    provider: str
    kinds: Sequence[str] = ()
    broken: bool = False

    def get_library_path(self) -> str:
        if self.broken:
            raise FileNotFoundError("no such library")
        return f"/nowhere/{self.provider}.so"


@dataclass
class FakeOnnxRuntime:
    """Answers as `onnxruntime` does, for what `runtime.providers` asks.

    Attributes:
        listed: providers that are built in.
        falls_back: sessions run on the CPU without a word, as without NVIDIA's libraries.
        takes: the share of the nodes that the provider takes.
        noise: added to every output.
        fails: error of every call.
    """

    listed: tuple[str, ...] = (CPU,)
    plugins: dict[str, Plugin] = field(default_factory=dict)
    falls_back: bool = False
    takes: float = 1.0
    noise: float = 0.0
    fails: Exception | None = None
    registered: list[str] = field(default_factory=list)
    opened: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sessions: list[Any] = field(default_factory=list)
    __version__ = onnxruntime.__version__

    def get_available_providers(self) -> list[str]:
        return list(self.listed)

    def set_default_logger_severity(self, level: int) -> None:
        pass

    def preload_dlls(self) -> None:
        print("Failed to load libcublas.so")

    def register_execution_provider_library(self, name: str, path: str) -> None:
        assert path.startswith("/nowhere/")
        self.registered.append(name)

    def get_ep_devices(self) -> list[Any]:
        return [
            SimpleNamespace(
                ep_name=plugin.provider,
                ep_metadata={},
                device=SimpleNamespace(type=f"OrtHardwareDeviceType.{kind}", vendor="Acme"),
            )
            for plugin in self.plugins.values()
            if plugin.provider in self.registered
            for kind in plugin.kinds
        ]

    def InferenceSession(self, path: str, options: Any, **given: Any) -> Any:  # noqa: N802
        provider, settings = options.chosen or given["providers"][0]
        self.opened.append((provider, settings))
        assert given["enable_fallback"] == 0
        session = _Session(self, path, CPU if self.falls_back else provider)
        self.sessions.append(session)
        return session


class Options:
    """`SessionOptions`, which remember the plugin's device."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.chosen: tuple[str, dict[str, str]] | None = None

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value

    def add_provider_for_devices(self, devices: list[Any], settings: dict[str, str]) -> None:
        (device,) = devices
        self.chosen = device.ep_name, settings


class _Session:
    def __init__(self, ort: FakeOnnxRuntime, path: str, provider: str) -> None:
        self._real = onnxruntime.InferenceSession(path, providers=[CPU])
        self._ort, self._provider = ort, provider
        self.fallback = True
        self.get_inputs, self.get_outputs = self._real.get_inputs, self._real.get_outputs

    def get_providers(self) -> list[str]:
        return list(dict.fromkeys([self._provider, CPU]))

    def disable_fallback(self) -> None:
        self.fallback = False

    def get_provider_graph_assignment_info(self) -> list[Any]:
        taken = round(100 * self._ort.takes)
        counts = {self._provider: taken, CPU: 100 - taken}
        return [
            SimpleNamespace(ep_name=name, get_nodes=lambda n=count: [None] * n)
            for name, count in counts.items()
        ]

    def run(self, names: Any, feed: dict[str, Any]) -> list[Any]:
        if self._ort.fails is not None:
            raise self._ort.fails
        noise = np.random.default_rng(0)
        return [
            part + self._ort.noise * noise.standard_normal(part.shape).astype(np.float32)
            for part in self._real.run(names, feed)
        ]
