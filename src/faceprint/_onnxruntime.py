"""ONNX Runtime, imported in this one place, with its telemetry off.

From version 1.29 on, importing it writes a device id and a database of events below the user's
cache folder, and some nine seconds later it looks up its collector's address. A call after the
import comes too late: only the environment, set before, prevents both. Child processes inherit it.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as errors

__all__ = ["errors", "onnxruntime", "quantization"]


def quantization() -> Any:
    """The module `onnxruntime.quantization`; it needs the onnx package."""
    return importlib.import_module("onnxruntime.quantization")
