"""Helper processes for long streams on many cores.

Between the networks' calls Python itself works for an eighth of a photograph's time, and lets one
thread at a time do it: on sixteen cores one process does a third of what processes of two threads
each can do (docs/performance.md).

A helper is an interpreter with sessions of its own. It starts in the background; until it is ready,
photographs are worked on here. When one dies, another takes its place, and the photographs that it
held are tried one by one in a process of their own: the one that kills it becomes a row with an
error and takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from faceprint import _forks
from faceprint.errors import DecodeError, FaceprintError
from faceprint.types import AnalyzedImage
from faceprint.vision import images
from faceprint.vision.images import ImageSource
from faceprint.vision.photos import FaceOutputs
from faceprint.vision.streaming.worker import WorkerSetup
from faceprint.vision.streaming.worker_process import NAME, DiedError, Process

__all__ = ["ProcessPool"]

_PAYS = 500
"""Photographs from which on helpers are started: they take a second or two to be ready."""

_SENT = (str, bytes, Path, np.ndarray)

_NOT_STARTED = (OSError, RuntimeError, FaceprintError)
"""What starting a process and loading models there may raise."""

Task = Callable[[list[ImageSource]], list[AnalyzedImage]]


class ProcessPool:
    """A number of helper processes, started when they begin to pay. Thread-safe.

    Args:
        setup: the models.
        threads: of each helper.
        prepare: called before the first one starts; makes what all of them read.
    """

    def __init__(
        self, setup: WorkerSetup, threads: Sequence[int], prepare: Callable[[], object]
    ) -> None:
        self._setup, self._threads, self._prepare = setup, tuple(threads), prepare
        self._idle: queue.SimpleQueue[Process] = queue.SimpleQueue()
        self._lock, self._alone = threading.Lock(), threading.Lock()
        self._seen, self._started = 0, False
        self._running: set[Process] = set()
        self._end = weakref.finalize(self, _end, self._running)
        _forks.drop_in_children(self)

    def after_fork(self) -> None:
        """In a forked child: the helpers are its parent's, who alone speaks to them and ends them.

        Called by the interpreter.
        """
        self._end.detach()
        for helper in self._running:
            helper.let_go()
        _forks.abandon(self)

    def analyze(
        self, chunk: list[ImageSource], wanted: FaceOutputs, here: Task
    ) -> list[AnalyzedImage]:
        """What a helper makes of these photographs, or `here` where none is ready.

        So it is too where a source can't be sent: an image of PIL's would be decoded for it,
        whatever size it claims.

        Raises:
            Exception: what `FaceAnalyzer.analyze_chunk` raised.
        """
        helper = self._free() if all(isinstance(source, _SENT) for source in chunk) else None
        if helper is None:
            return here(chunk)
        try:
            return helper.ask((chunk, wanted))
        except DiedError:
            self._replace(helper)
            return self._one_by_one(chunk, wanted, here)
        finally:
            if helper.alive:
                self._idle.put(helper)

    def close(self) -> None:
        """End them all; what they were at is lost."""
        self._end()

    def expect(self, photographs: int) -> None:
        """So many more will be asked for; helpers are started once it is many."""
        with self._lock:
            self._seen += photographs
            if self._started or self._seen < _PAYS:
                return
            self._started = True
        _in_background(self, self._threads, self._prepare)

    def _free(self) -> Process | None:
        with contextlib.suppress(queue.Empty):
            while True:
                helper = self._idle.get_nowait()
                if helper.alive:
                    return helper
        return None

    def start_one(self, threads: int) -> None:
        """One more, as often among the idle as it has threads; none where it can't be had."""
        try:
            helper = Process(self._setup, threads)
        except _NOT_STARTED:
            return
        with self._lock:
            if not self._end.alive:
                helper.end()
                return
            self._running.add(helper)
        for _ in range(threads):
            self._idle.put(helper)

    def _replace(self, helper: Process) -> None:
        with self._lock:
            if helper not in self._running:
                return  # another of its threads has seen to it
            self._running.remove(helper)
        helper.end()
        _in_background(self, [helper.threads])

    def apart(
        self, chunk: list[ImageSource], wanted: FaceOutputs, here: Task
    ) -> list[AnalyzedImage]:
        """What a process that does nothing else makes of them; `here` where none can be had.

        One chunk at a time: a process dies of this one, or of nothing.
        """
        helper = self._free()
        if helper is None:
            try:
                helper = Process(self._setup, threads=1)
            except _NOT_STARTED:
                return here(chunk)
            with self._lock:
                self._running.add(helper)
        try:
            return helper.ask((chunk, wanted))
        except DiedError:
            with self._lock:
                self._running.discard(helper)
            helper.end()
            return self._one_by_one(chunk, wanted, here)
        finally:
            if helper.alive:
                self._idle.put(helper)

    def _one_by_one(
        self, chunk: list[ImageSource], wanted: FaceOutputs, here: Task
    ) -> list[AnalyzedImage]:
        """Photographs that were in a helper as it died; one chunk of them at a time."""
        results: list[AnalyzedImage] = []
        with self._alone, contextlib.ExitStack() as running:
            helper: Process | None = None
            for source in chunk:
                try:
                    if helper is None:
                        helper = Process(self._setup, threads=1)
                        running.callback(helper.end)
                except _NOT_STARTED:  # no memory, perhaps: not the photograph's fault
                    results += here([source])
                    continue
                try:
                    results += helper.ask(([source], wanted))
                except DiedError:
                    helper, name = None, images.describe(source)
                    error = DecodeError(f"{name}: the process that analyzed it died")
                    results.append(AnalyzedImage(name, [], error=error))
        return results


def _in_background(
    helpers: ProcessPool, threads: Sequence[int], prepare: Callable[[], object] = lambda: None
) -> None:
    """Start a helper with each number of threads."""
    # The threads must not keep from being let go whom nobody else needs any more.
    owner = weakref.ref(helpers)

    def start(number: int) -> None:
        helpers = owner()
        if helpers is not None:
            helpers.start_one(number)

    def start_all() -> None:
        try:
            prepare()
        except _NOT_STARTED:
            return  # the stream itself meets the same error, where somebody reads it
        for number in threads:
            threading.Thread(target=start, args=(number,), name=NAME, daemon=True).start()

    threading.Thread(target=start_all, name=NAME, daemon=True).start()


def _end(running: set[Process]) -> None:
    while running:
        running.pop().end()
