"""What a forked child drops: sessions, pools and pipes whose threads stayed with its parent.

A thread pool of a runtime is copied without its threads; calling it, and even deleting it, waits
for ever. So in a child (gunicorn's --preload, multiprocessing's fork) holders forget what they had
and open it anew, and what they forget is never deleted.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from typing import Protocol

__all__ = ["Holder", "abandon", "drop_in_children", "inherited"]


class Holder(Protocol):
    """Something with threads, locks or pipes of its own."""

    def after_fork(self) -> None:
        """Called in a forked child, on its one thread."""
        ...


_HOLDERS: weakref.WeakSet[Holder] = weakref.WeakSet()
_INHERITED: set[str] = set()


def drop_in_children(holder: Holder) -> None:
    """Have `holder.after_fork` called in every child that this process forks."""
    _HOLDERS.add(holder)


def abandon(*things: object) -> None:
    """Keep these from ever being deleted, the end of the process included."""
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def inherited(module: str) -> bool:
    """Whether this process was forked from one that had imported `module`."""
    return module in _INHERITED


def _in_child() -> None:
    _INHERITED.update(sys.modules)
    for holder in tuple(_HOLDERS):
        holder.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
