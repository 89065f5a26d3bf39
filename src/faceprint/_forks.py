"""Forked children drop sessions, pools and pipes, whose threads stayed with the parent.

A runtime's thread pool is copied without its threads; calling it, or even deleting it, waits
forever. So in a child (gunicorn's --preload, multiprocessing's fork) objects drop their sessions
and open new ones, and the dropped sessions are never deleted.

OpenCV's pool has one lock for each of its threads, which a thread takes to go to sleep. A child
that is forked at that moment inherits it locked, and waits for it forever (2 of 2,000 that were
forked right after the pool's work). So OpenCV's threads end before a fork; it starts new ones.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from typing import Protocol

__all__ = ["ForkAware", "abandon", "call_after_fork", "inherited"]


class ForkAware(Protocol):
    """An object that holds threads, locks or pipes."""

    def after_fork(self) -> None:
        """Called in a forked child, on its only thread."""
        ...


_REGISTERED: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_INHERITED_MODULES: set[str] = set()


def call_after_fork(target: ForkAware) -> None:
    """Call `target.after_fork` in every child that this process forks."""
    _REGISTERED.add(target)


def abandon(*things: object) -> None:
    """Keep these objects from ever being deleted, even at the end of the process."""
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def inherited(module: str) -> bool:
    """Whether this process was forked from one that had imported `module`."""
    return module in _INHERITED_MODULES


_opencv_threads: list[int] = []
"""Their number before the forks that are under way."""


def _stop_opencv() -> None:
    cv2 = sys.modules.get("cv2")
    if cv2 is not None and hasattr(cv2, "setNumThreads"):  # imported whole
        _opencv_threads.append(cv2.getNumThreads())
        cv2.setNumThreads(1)


def _allow_opencv() -> None:
    if _opencv_threads:
        sys.modules["cv2"].setNumThreads(_opencv_threads.pop())


def _in_child() -> None:
    _INHERITED_MODULES.update(sys.modules)
    for target in tuple(_REGISTERED):
        target.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_stop_opencv, after_in_parent=_allow_opencv, after_in_child=_allow_opencv
    )
    os.register_at_fork(after_in_child=_in_child)
