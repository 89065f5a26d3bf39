"""The device that models run on, and what `auto` means here."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from faceprint import settings

__all__ = ["choose_device", "probe_graph"]


def choose_device(device: str | None = None, runtime: str | None = None) -> str:
    """Return the device to open models on.

    Args:
        device: None for FACEPRINT_DEVICE, else `cpu`. `auto` becomes the best device that is here
            and gives the CPU's embeddings (`runtime.devices.best`), tried once per process.
        runtime: None for FACEPRINT_RUNTIME, else `onnxruntime`.
    """
    asked = device or settings.default_device()
    return _best(runtime or settings.default_runtime()) if asked == "auto" else asked


def probe_graph() -> Path:
    """The graph that devices are tried with: the packaged embedder."""
    from faceprint.zoo import catalog, store

    return store.ensure(catalog.get_card("dlib-resnet"))["model"]


@cache
def _best(runtime: str) -> str:
    from faceprint.runtime import devices

    return devices.best(runtime, probe_graph())
