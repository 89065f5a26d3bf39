"""Import ONNX Runtime with its telemetry off; no other module imports it.

From version 1.29 on, the import writes a device id and a database of events to the user's cache
folder, and about nine seconds later looks up the address of its collector. Only an environment
variable that is set before the import prevents both. Child processes inherit it.
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
    """Import `onnxruntime.quantization`, which needs the onnx package."""
    return importlib.import_module("onnxruntime.quantization")
