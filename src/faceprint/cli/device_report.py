"""Which devices this machine has for the runtimes, and what is missing for the others."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from faceprint import _cpu
from faceprint.errors import FaceprintError, RuntimeUnavailableError

__all__ = ["device_report"]

_NVIDIA = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
_MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "pytorch": "torch"}


def device_report() -> list[dict[str, Any]]:
    """A line per device: device, runtime, ready, detail. A device is ready if it passed its check.

    Devices that a runtime lists are opened and compared with the CPU.
    """
    from faceprint.runtime import devices

    lines = [_line("cpu", "onnxruntime", True, _cpu.cpu_name())]
    for runtime in devices.WITH_ACCELERATORS:
        # PyTorch takes seconds to import, and has nothing to offer without a driver.
        useful = runtime != "pytorch" or _nvidia_driver() or sys.platform == "darwin"
        if useful and importlib.util.find_spec(_MODULES[runtime]) is not None:
            lines += [_tried(device, runtime) for device in devices.listed(runtime)]
    ready = {line["device"].partition(":")[0] for line in lines if line["runtime"] == "onnxruntime"}
    return lines + _missing(ready)


def _line(device: str, runtime: str, ready: bool, detail: str) -> dict[str, Any]:
    return {"device": device, "runtime": runtime, "ready": ready, "detail": detail}


def _tried(device: str, runtime: str) -> dict[str, Any]:
    from faceprint.runtime import devices, providers
    from faceprint.vision.device_choice import probe_graph

    try:
        info = devices.check(device, runtime, probe_graph())
        parts = [providers.hardware(device)] if runtime == "onnxruntime" else []
    except FaceprintError as error:
        return _line(device, runtime, False, _reason(error))
    if info.nodes is not None:
        parts.append(f"{info.nodes[0]} of {info.nodes[1]} nodes of the packaged embedder")
    return _line(device, runtime, True, ", ".join(filter(None, [*parts, "agrees with the CPU"])))


def _missing(found: set[str]) -> list[dict[str, Any]]:
    """Devices of ONNX Runtime that it does not list here."""
    from faceprint.runtime.providers import ACCELERATORS

    lines = []
    for name, accelerator in ACCELERATORS.items():
        if name in found or (name == "coreml" and sys.platform != "darwin"):
            continue
        if name == "cuda":
            detail = _without_cuda(accelerator.install)
        elif accelerator.plugin and importlib.util.find_spec(accelerator.plugin) is None:
            detail = f"not installed; {accelerator.install}"
        else:
            detail = _without_accelerator(name)
        lines.append(_line(name, "onnxruntime", False, detail))
    return lines


def _without_cuda(install: str) -> str:
    if not _nvidia_driver():
        return "no NVIDIA driver here"
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        return (
            "onnxruntime and onnxruntime-gpu lie in the same folder, one over the other; "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        )
    return f"an NVIDIA driver is here, and this onnxruntime has no CUDA; {install}"


def _without_accelerator(name: str) -> str:
    from faceprint.runtime import providers

    try:
        return f"has no hardware here but the {providers.hardware(name)}"
    except FaceprintError as error:
        return _reason(error)


def _reason(error: FaceprintError) -> str:
    return error.reason if isinstance(error, RuntimeUnavailableError) else str(error)


def _nvidia_driver() -> bool:
    return shutil.which("nvidia-smi") is not None or any(Path(path).exists() for path in _NVIDIA)


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
