"""Import OpenVINO with its telemetry off; no other module imports it.

The package writes a client id to the home folder and sends an event to Google Analytics on every
import, unless `openvino_telemetry` can't be imported.
"""

from __future__ import annotations

import sys
import threading
from types import ModuleType

from faceprint import _optional

__all__ = ["load"]

_TELEMETRY = "openvino_telemetry"
_LOCK = threading.Lock()


def load() -> ModuleType:
    """Import `openvino`.

    Raises:
        MissingExtraError: it is not installed.
    """
    with _LOCK:
        before = sys.modules.get(_TELEMETRY)
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # makes its import fail
        try:
            return _optional.require("openvino", extra="openvino")
        finally:
            del sys.modules[_TELEMETRY]
            if before is not None:
                sys.modules[_TELEMETRY] = before
