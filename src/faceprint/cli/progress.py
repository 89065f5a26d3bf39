"""Progress on stderr: one line that is overwritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

__all__ = ["progress"]

_EVERY = 10.0
"""Seconds between two lines where stderr is not a terminal."""


def progress(what: str) -> Callable[[int, int], None]:
    """A function that takes how many are done and the total."""
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        terminal, final = sys.stderr.isatty(), done >= total
        if not terminal and not final and now - last < _EVERY:
            return
        last = now
        left = (now - start) / max(done, 1) * (total - done)
        text = f"{what}: {done:,} of {total:,}, {left:.0f} s left"
        if final:
            text = f"{what}: {total:,} in {now - start:.0f} s"
        end = "\n" if final or not terminal else ""
        lead = "\r\x1b[K" if terminal else ""
        print(f"{lead}{text}", end=end, file=sys.stderr, flush=True)  # noqa: T201

    return show
