"""Compare runtimes on one graph: agreement with ONNX Runtime on the CPU, speed and memory.

Each runtime is measured in its own process (parity_child.py). So only its own memory counts, and a
crash only shows in its row.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from faceprint import _onnx_reader
from faceprint._suggest import unknown_name
from faceprint.errors import CardError, UsageError
from faceprint.runtime.session import RUNTIMES, RuntimeOptions
from faceprint.types import Array, Image

__all__ = [
    "AGREES",
    "INPUTS",
    "ParityInput",
    "Row",
    "compare",
    "differences",
    "make_blob",
    "smooth_images",
]

AGREES = 0.9999
"""Lowest cosine to ONNX Runtime at which a runtime or a device counts as agreeing."""

INPUTS = "16 smooth random color images (sums of low-frequency waves, fixed seed)"

_BATCH = 16
_REFERENCE = "onnxruntime"

State = Literal["agrees", "disagrees", "refused", "missing"]


@dataclass(frozen=True, slots=True)
class ParityInput:
    """How pixels become the graph's input: x' = (x - mean) / std, then layout.

    Attributes:
        height, width: pixels; used where the graph leaves them free.
        mean, std: three numbers each.
    """

    height: int = 320
    width: int = 320
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one runtime on one graph.

    Attributes:
        state: `agrees` or `disagrees`, by the cosine; `refused` if it can't run the graph;
            `missing` if it is not installed, or has no such device.
        reason: why it is refused or missing.
        max_difference: largest absolute difference to ONNX Runtime over all outputs.
        min_cosine: lowest cosine to ONNX Runtime over images and outputs.
        ms_batch1, ms_batch16: median milliseconds of one call.
        peak_mb: peak memory of the process in 10^6 bytes, interpreter included.
        load_s: seconds from the file to a session.
        device: on which it ran.
        nodes: the number of the graph's nodes that ran there, and of all, if the runtime says it.
    """

    runtime: str
    state: State
    version: str = ""
    reason: str = ""
    max_difference: float | None = None
    min_cosine: float | None = None
    ms_batch1: float | None = None
    ms_batch16: float | None = None
    peak_mb: float | None = None
    load_s: float | None = None
    device: str = "cpu"
    nodes: tuple[int, int] | None = None


def compare(
    model: Path,
    runtimes: Sequence[str],
    options: RuntimeOptions,
    given: ParityInput,
    *,
    seconds: float = 3.0,
) -> Iterator[Row]:
    """Measure runtimes one after the other; ONNX Runtime on the CPU always runs, as the reference.

    Args:
        model: the graph, as it is opened.
        runtimes: names out of `RUNTIMES`.
        options: with another device than the CPU, the runtimes are measured there, and the first
            row is the reference.
        seconds: how long each batch size is timed on each runtime, for at least three calls.

    Yields:
        A row per runtime as soon as it is measured, in the order given, the reference first.

    Raises:
        UsageError: no runtime of that name.
        CardError: ONNX Runtime itself can't run the graph.
    """
    unknown = [name for name in runtimes if name not in RUNTIMES]
    if unknown:
        raise UsageError(unknown_name("runtime", unknown[0], RUNTIMES))
    with tempfile.TemporaryDirectory() as folder:
        blob = Path(folder) / "blob.npy"
        np.save(blob, make_blob(model, given))
        on_cpu = replace(options, device="cpu")
        found, reference = _measure(model, _REFERENCE, on_cpu, blob, seconds)
        if "error" in found:
            raise CardError(f"{model.name}: the reference, onnxruntime, failed: {found['error']}")
        ordered = sorted(dict.fromkeys(runtimes), key=lambda name: name != _REFERENCE)
        if options.device != "cpu":
            yield _row(_REFERENCE, "cpu", found, reference, reference)
        for name in ordered:
            outputs = reference
            if name != _REFERENCE or options.device != "cpu":
                found, outputs = _measure(model, name, options, blob, seconds)
            yield _row(name, options.device, found, outputs, reference)


def smooth_images(count: int, height: int, width: int, *, seed: int = 3) -> Image:
    """Make (count, height, width, 3) smooth images, the same on every machine.

    Photographs are smooth too. White noise drives a network's activations out of their usual range,
    and runtimes then differ by more or less than on photographs.
    """
    random = np.random.default_rng(seed)
    y = np.arange(height)[:, None] / height
    x = np.arange(width)[None, :] / width
    images = np.empty((count, height, width, 3))
    for image in images:
        for channel in range(3):
            total = np.zeros((height, width))
            for _ in range(12):
                fy, fx = random.uniform(-6, 6, 2)
                phase, weight = random.uniform(0, 2 * np.pi), random.uniform(0.2, 1.0)
                total += weight * np.cos(2 * np.pi * (fy * y + fx * x) + phase)
            low, high = total.min(), total.max()
            image[:, :, channel] = 255 * (total - low) / (high - low)
    return images.round().astype(np.uint8)


def make_blob(model: Path, given: ParityInput, *, count: int = _BATCH) -> Array:
    """Make the graph's input from smooth images, (count, ...).

    Raises:
        CardError: not a graph with one image as its input.
    """
    try:
        inputs = _onnx_reader.scan(model).data_inputs
    except (ValueError, OSError) as error:
        raise CardError(f"{model.name}: not an ONNX graph ({error})") from error
    shape = inputs[0][1] if len(inputs) == 1 else ()
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise CardError(f"{model.name}: parity needs a graph with one color image as its input")
    first = shape[1] == 3
    height, width = (shape[2], shape[3]) if first else (shape[1], shape[2])
    images = smooth_images(count, height or given.height, width or given.width)
    mean, std = np.array(given.mean, np.float32), np.array(given.std, np.float32)
    blob = (images.astype(np.float32) - mean) / std
    return np.ascontiguousarray(blob.transpose(0, 3, 1, 2) if first else blob)


def _measure(
    model: Path, runtime: str, options: RuntimeOptions, blob: Path, seconds: float
) -> tuple[dict[str, Any], list[Array]]:
    target = blob.parent / runtime
    target.mkdir(exist_ok=True)
    request = {
        "model": str(model.resolve()),
        "runtime": runtime,
        "threads": options.thread_count(),
        "device": options.device,
        "spinning": options.spinning,
        "extra": dict(options.extra) if runtime == "mxnet" else {},
        "blob": str(blob),
        "target": str(target),
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "faceprint.runtime.parity_child"],
        input=json.dumps(request),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    answer = target / "answer.json"
    if not answer.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"the process ended with {done.returncode}"
        return {"error": reason, "missing": False}, []
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    outputs = [np.load(target / f"{i}.npy") for i in range(found.get("outputs", 0))]
    return found, outputs


def _row(
    name: str,
    device: str,
    found: dict[str, Any],
    outputs: Sequence[Array],
    reference: Sequence[Array],
) -> Row:
    if "error" in found:
        state: State = "missing" if found["missing"] else "refused"
        return Row(name, state, reason=found["error"], device=device)
    difference, cosine, reason = differences(outputs, reference)
    return Row(
        name,
        "agrees" if cosine >= AGREES else "disagrees",
        found["version"],
        reason,
        difference,
        cosine,
        found["ms_batch1"],
        found["ms_batch16"],
        found["peak"] / 1e6,
        found["load_s"],
        device,
        None if found["nodes"] is None else tuple(found["nodes"]),
    )


def differences(
    outputs: Sequence[Array], reference: Sequence[Array]
) -> tuple[float | None, float, str]:
    """Return the largest difference, the lowest cosine, and what else is wrong."""
    if [part.shape for part in outputs] != [part.shape for part in reference]:
        shapes = [part.shape for part in outputs]
        return None, -1.0, f"outputs of shapes {shapes}, not {[p.shape for p in reference]}"
    difference, cosine = 0.0, 1.0
    for part, expected in zip(outputs, reference, strict=True):
        rows = _BATCH if len(part) % _BATCH == 0 else 1
        a = part.reshape(rows, -1).astype(np.float64)
        b = expected.reshape(rows, -1).astype(np.float64)
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return None, -1.0, "NaN or infinity in the outputs"
        difference = max(difference, float(np.abs(a - b).max(initial=0.0)))
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        both_zero = (np.abs(a).max(axis=1) == 0) & (np.abs(b).max(axis=1) == 0)
        products = np.where(both_zero, 1.0, (a * b).sum(axis=1) / np.where(lengths, lengths, 1.0))
        cosine = min(cosine, float(products.min(initial=1.0)))
    return difference, cosine, ""
