"""OpenVINO, imported in this one place, with its telemetry off.

Its package counts every import with a client id below the home folder and an event to Google
Analytics, unless `openvino_telemetry` can't be imported: it then has a stand-in that does nothing.
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
    """The module `openvino`.

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
