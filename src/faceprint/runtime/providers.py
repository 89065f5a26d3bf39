"""ONNX Runtime's execution providers by the names of `--device`: what brings each, and opening one.

ONNX Runtime goes on with the CPU when a provider can't be created, and again when it fails in a
call. So both are turned off or looked for here, and the nodes that a provider really took are
counted. Plugins are registered with the plain package (ONNX Runtime 1.23 or newer):
https://onnxruntime.ai/docs/execution-providers/plugin-ep-libraries.html
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from faceprint._onnxruntime import errors as ort_errors
from faceprint._onnxruntime import onnxruntime as ort
from faceprint.errors import RuntimeUnavailableError
from faceprint.runtime.blobs import no_device

__all__ = ["ACCELERATORS", "Accelerator", "accelerators", "hardware", "nodes_on", "open_on"]

CUDA_INSTALL = (
    "pip install 'faceprint[cuda]' && pip uninstall -y onnxruntime onnxruntime-gpu && "
    "pip install onnxruntime-gpu"
)
"""onnxruntime-gpu lies in the same folder as onnxruntime, so only one of them may be there."""

CUDA_LIBRARIES = (
    "it needs NVIDIA's driver, and the libraries of pip install 'onnxruntime-gpu[cuda,cudnn]'"
)


@dataclass(frozen=True, slots=True)
class Accelerator:
    """An execution provider besides the CPU's.

    Attributes:
        provider: its name in ONNX Runtime.
        install: what to do where it is missing.
        broken: what to do where it is listed and can't be created.
        plugin: the module of the package that brings it as a plugin; empty if it is built in.
        options: settings of the provider. Without TF32, half precision and the like, which move
            embeddings by more than parity allows.
    """

    provider: str
    install: str
    broken: str = "check its driver"
    plugin: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


ACCELERATORS: Mapping[str, Accelerator] = {
    "cuda": Accelerator(
        "CUDAExecutionProvider",
        CUDA_INSTALL,
        CUDA_LIBRARIES,
        # The default search times every algorithm for each new shape, and batches vary.
        options={"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
    ),
    "tensorrt-rtx": Accelerator(
        "NvTensorRTRTXExecutionProvider",
        "pip install onnxruntime-ep-nv-tensorrt-rtx",
        plugin="onnxruntime_ep_nv_tensorrt_rtx",
    ),
    "coreml": Accelerator(
        "CoreMLExecutionProvider",
        "onnxruntime has it on macOS alone",
        # The Neural Engine computes in half precision.
        options={"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"},
    ),
    "openvino": Accelerator(
        "OpenVINOExecutionProvider",
        "pip install onnxruntime-ep-openvino",
        plugin="onnxruntime_ep_openvino",
    ),
    "webgpu": Accelerator(
        "WebGpuExecutionProvider",
        "pip install onnxruntime-ep-webgpu",
        "it needs a graphics driver, and on Linux libvulkan.so.1",
        plugin="onnxruntime_ep_webgpu",
    ),
}
"""By device name, best first."""

_KINDS = ("GPU", "CPU", "NPU")
"""Hardware by preference; NPUs compute in half precision."""

_LOCK = threading.Lock()
_REGISTERED: dict[str, str] = {}


def accelerators() -> list[str]:
    """Devices that are listed here, best first; plugins only with hardware besides the CPU."""
    found = []
    for name, accelerator in ACCELERATORS.items():
        if not accelerator.plugin:
            if accelerator.provider in ort.get_available_providers():
                found.append(name)
            continue
        with contextlib.suppress(RuntimeUnavailableError):
            _pick(name, "gpu")
            found.append(f"{name}:gpu")
    return found


def hardware(device: str) -> str:
    """What a plugin's device is, in words; empty for built-in providers.

    Raises:
        RuntimeUnavailableError: the plugin is missing, or has no such hardware.
    """
    name, place = _split(device)
    if not ACCELERATORS[name].plugin:
        return ""
    chosen = _pick(name, place)
    named = chosen.ep_metadata.get("FULL_DEVICE_NAME") or chosen.device.vendor
    return f"{_kind(chosen)}, {named}"


def open_on(device: str, model: str, options: Any, *, threads: int) -> Any:
    """Open a session on an accelerator, and make sure that it runs there.

    Args:
        device: `cuda`, `cuda:1`, `openvino`, `openvino:gpu` ...: a key of `ACCELERATORS`, with the
            number or the kind of the hardware if need be.
        options: onnxruntime.SessionOptions; the provider is added to it.
        threads: threads of a provider that runs on the CPU.

    Raises:
        RuntimeUnavailableError: the provider is missing, can't be created, or takes no node.
    """
    name, place = _split(device)
    accelerator = ACCELERATORS[name]
    # Read by `nodes_on`; versions of ONNX Runtime that don't know the key ignore it.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    arguments: dict[str, Any] = {}
    if accelerator.plugin:
        chosen = _pick(name, place)
        options.add_provider_for_devices([chosen], _plugin_options(name, chosen, threads))
        said = ""
    else:
        if accelerator.provider not in ort.get_available_providers():
            raise no_device(device, f"this onnxruntime has no {accelerator.provider}", _how(name))
        said = _preload_cuda() if name == "cuda" else ""
        number = {"device_id": place or "0"} if name == "cuda" else {}
        arguments["providers"] = [(accelerator.provider, {**accelerator.options, **number})]
    with _quiet():
        session = ort.InferenceSession(model, options, enable_fallback=0, **arguments)
    running = session.get_providers()
    if running[0] != accelerator.provider:
        reason = f"{accelerator.provider} can't be created here and {running[0]} would run"
        raise no_device(device, f"{reason}{said}", accelerator.broken)
    session.disable_fallback()  # of a failing call
    taken = nodes_on(session, accelerator.provider)
    if taken is not None and taken[0] == 0:
        reason = f"{accelerator.provider} takes none of this graph's {taken[1]} nodes"
        raise no_device(device, reason, "choose another device")
    return session


def nodes_on(session: Any, provider: str) -> tuple[int, int] | None:
    """The number of the graph's nodes that a provider runs, and of all; None if it is not said."""
    report = getattr(session, "get_provider_graph_assignment_info", None)
    if report is None:
        return None
    counts = [(part.ep_name, len(part.get_nodes())) for part in report()]
    return sum(n for name, n in counts if name == provider), sum(n for _, n in counts)


def _split(device: str) -> tuple[str, str]:
    name, _, place = device.partition(":")
    if name not in ACCELERATORS:
        known = ", ".join(("auto", "cpu", *ACCELERATORS))
        raise RuntimeUnavailableError(f"onnxruntime has no device {device!r}; it has {known}")
    if place and not (place.isdecimal() or (ACCELERATORS[name].plugin and _is_kind(place))):
        raise RuntimeUnavailableError(
            f"onnxruntime has no device {device!r}: {place!r} is no number"
        )
    return name, place


def _is_kind(place: str) -> bool:
    return place.upper() in _KINDS


def _how(name: str) -> str:
    """What to do for a built-in provider that is not there."""
    how = ACCELERATORS[name].install
    return how if name == "coreml" else f"install it: {how}"


def _pick(name: str, place: str) -> Any:
    """The hardware of a plugin: by number, by kind, or the best.

    Raises:
        RuntimeUnavailableError: the plugin is missing, or has no such hardware.
    """
    accelerator = ACCELERATORS[name]
    problem = _register(name, accelerator)
    if problem:
        raise no_device(name, problem, f"install it: {accelerator.install}")
    found = [each for each in ort.get_ep_devices() if each.ep_name == accelerator.provider]
    if place.isdecimal():
        fitting = found[int(place) : int(place) + 1]
    elif place:
        fitting = [each for each in found if _kind(each) == place.upper()]
    else:
        fitting = sorted(found, key=lambda each: _KINDS.index(_kind(each)))
    if not fitting:
        kinds = ", ".join(_kind(each) for each in found) or "no hardware"
        asked = f"{name}:{place}" if place else name
        raise no_device(asked, f"{accelerator.plugin} finds {kinds} here", accelerator.broken)
    return fitting[0]


def _kind(device: Any) -> str:
    return str(device.device.type).rpartition(".")[2].partition(":")[0]


def _register(name: str, accelerator: Accelerator) -> str:
    """Make a plugin known to ONNX Runtime, once; returns what is wrong, or nothing."""
    with _LOCK:
        if name not in _REGISTERED:
            _REGISTERED[name] = _try_to_register(accelerator)
        return _REGISTERED[name]


def _try_to_register(accelerator: Accelerator) -> str:
    if importlib.util.find_spec(accelerator.plugin) is None:
        return f"{accelerator.plugin} is not installed"
    if not hasattr(ort, "register_execution_provider_library"):
        return f"this onnxruntime ({ort.__version__}) takes no plugins; 1.23 or newer does"
    try:
        library = importlib.import_module(accelerator.plugin).get_library_path()
        with _quiet():
            ort.register_execution_provider_library(accelerator.provider, library)
    except (ImportError, OSError, RuntimeError, AttributeError, ort_errors.Fail) as error:
        return f"{accelerator.plugin} can't be loaded ({str(error).strip()[:200]})"
    return ""


def _plugin_options(name: str, chosen: Any, threads: int) -> dict[str, str]:
    if name != "openvino":
        return dict(ACCELERATORS[name].options)
    kind = _kind(chosen)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}  # GPUs would take f16, some CPUs bf16
    if kind == "CPU":
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    return {"load_config": json.dumps({kind: settings})}


def _preload_cuda() -> str:
    """Load NVIDIA's libraries from their wheels; returns which one is missing, for a message."""
    preload = getattr(ort, "preload_dlls", None)  # from 1.21 on
    if preload is None:
        return ""
    said = io.StringIO()
    with _LOCK, contextlib.redirect_stdout(said):  # it prints, where a command's JSON goes
        preload()
    lines = [line for line in said.getvalue().splitlines() if line.startswith("Failed")]
    return f" ({lines[0]})" if lines else ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's log off stderr: what matters in it is raised."""
    ort.set_default_logger_severity(4)
    try:
        yield
    finally:
        ort.set_default_logger_severity(2)
