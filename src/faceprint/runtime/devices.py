"""Which devices a runtime really has: listed, opened, and in agreement with the CPU."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

from faceprint.errors import FaceprintError, RuntimeUnavailableError
from faceprint.runtime.parity import AGREES, ParityInput, differences, make_blob
from faceprint.runtime.session import RuntimeOptions, SessionInfo, open_session

__all__ = ["WITH_ACCELERATORS", "best", "check", "listed"]

_LOG = logging.getLogger("faceprint")

WITH_ACCELERATORS = ("onnxruntime", "openvino", "pytorch")
"""Runtimes with other devices than the CPU."""


def listed(runtime: str) -> list[str]:
    """Accelerators that a runtime lists on this machine, best first; none has been tried.

    Raises:
        MissingExtraError: the runtime is not installed.
    """
    if runtime not in WITH_ACCELERATORS:
        return []
    found: list[str] = importlib.import_module(f"faceprint.runtime.{runtime}").accelerators()
    return found


def check(device: str, runtime: str, probe: Path) -> SessionInfo:
    """Run an embedder on a device and on the CPU, and compare the embeddings.

    Args:
        probe: the embedder's graph.

    Raises:
        RuntimeUnavailableError: the device can't be opened, or its embeddings differ by more than
            parity allows.
        MissingExtraError: the runtime is not installed.
    """
    blob = make_blob(probe, ParityInput())
    reference = open_session(probe, runtime="onnxruntime", options=RuntimeOptions()).run(blob)
    session = open_session(probe, runtime=runtime, options=RuntimeOptions(device=device))
    _, cosine, reason = differences(session.run(blob), reference)
    if cosine < AGREES:
        why = reason or f"cosine {cosine:.6f} to the CPU's, below {AGREES}"
        raise RuntimeUnavailableError(f"device {device!r} gives other embeddings: {why}")
    return session.info


def best(runtime: str, probe: Path) -> str:
    """The first accelerator that passes `check`, else `cpu`; a device that fails is logged."""
    try:
        found = listed(runtime)
    except FaceprintError:
        return "cpu"  # opening a model says what is missing
    for device in found:
        try:
            check(device, runtime, probe)
        except FaceprintError as error:
            _LOG.warning("device %s is listed and not used: %s", device, error)
        else:
            return device
    return "cpu"
