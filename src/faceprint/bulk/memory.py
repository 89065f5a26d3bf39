"""What a long run has freed goes back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

__all__ = ["give_back_memory"]


def give_back_memory() -> None:
    """Return the allocator's free pages, where it is glibc's; elsewhere nothing happens.

    Threads allocate from arenas of their own, whose free pages glibc keeps unless they lie at the
    end: a run of many parts would creep upwards though it holds no more. Costs a few milliseconds.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        process = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    trim: Callable[[int], int] | None = getattr(process, "malloc_trim", None)
    return trim
