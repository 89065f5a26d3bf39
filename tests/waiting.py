"""Waiting for a state that a program shows, however long a busy machine takes to get there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

__all__ = ["until"]

_NEVER = 600.0
"""Seconds after which a test has failed: only so that a state that never comes ends it."""


def until(condition: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> Any:
    """Ask again and again until it is true; what it is then.

    Args:
        process: whoever brings it about; when it ends without having done so, that is a failure.
    """
    end = time.monotonic() + _NEVER
    while not (value := condition()):
        ended = process is not None and process.poll() is not None
        if ended and not (value := condition()):
            raise AssertionError(f"it ended ({process.returncode}) before that came to pass")  # type: ignore[union-attr]
        if ended:
            break
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.005)
    return value
