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
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import IO, Any

import numpy as np

from faceprint import _forks
from faceprint.errors import DecodeError, FaceprintError
from faceprint.types import AnalyzedImage
from faceprint.vision import images
from faceprint.vision.helper import Setup
from faceprint.vision.images import ImageSource
from faceprint.vision.photos import Wanted

__all__ = ["Helpers"]

_PAYS = 500
"""Photographs from which on helpers are started: they take a second or two to be ready."""

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from faceprint.vision.helper import serve; serve()"
)

_NAME = "faceprint-helper"

_SENT = (str, bytes, Path, np.ndarray)

_NOT_STARTED = (OSError, RuntimeError, FaceprintError)
"""What starting a process and loading models there may raise."""

Task = Callable[[list[ImageSource]], list[AnalyzedImage]]

_Asked = tuple[list[ImageSource], Wanted]


class Helpers:
    """A number of helper processes, started when they begin to pay. Thread-safe.

    Args:
        setup: the models.
        threads: of each helper.
        prepare: called before the first one starts; makes what all of them read.
    """

    def __init__(self, setup: Setup, threads: Sequence[int], prepare: Callable[[], object]) -> None:
        self._setup, self._threads, self._prepare = setup, tuple(threads), prepare
        self._idle: queue.SimpleQueue[_Helper] = queue.SimpleQueue()
        self._lock, self._alone = threading.Lock(), threading.Lock()
        self._seen, self._started = 0, False
        self._running: set[_Helper] = set()
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

    def analyze(self, chunk: list[ImageSource], wanted: Wanted, here: Task) -> list[AnalyzedImage]:
        """What a helper makes of these photographs, or `here` where none is ready.

        So it is too where a source can't be sent: an image of PIL's would be decoded for it,
        whatever size it claims.

        Raises:
            Exception: what `FacePrint.analyze_chunk` raised.
        """
        helper = self._free() if all(isinstance(source, _SENT) for source in chunk) else None
        if helper is None:
            return here(chunk)
        try:
            return helper.ask((chunk, wanted))
        except _DiedError:
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

    def _free(self) -> _Helper | None:
        with contextlib.suppress(queue.Empty):
            while True:
                helper = self._idle.get_nowait()
                if helper.alive:
                    return helper
        return None

    def start_one(self, threads: int) -> None:
        """One more, as often among the idle as it has threads; none where it can't be had."""
        try:
            helper = _Helper(self._setup, threads)
        except _NOT_STARTED:
            return
        with self._lock:
            if not self._end.alive:
                helper.end()
                return
            self._running.add(helper)
        for _ in range(threads):
            self._idle.put(helper)

    def _replace(self, helper: _Helper) -> None:
        with self._lock:
            if helper not in self._running:
                return  # another of its threads has seen to it
            self._running.remove(helper)
        helper.end()
        _in_background(self, [helper.threads])

    def _one_by_one(
        self, chunk: list[ImageSource], wanted: Wanted, here: Task
    ) -> list[AnalyzedImage]:
        """Photographs that were in a helper as it died; one chunk of them at a time."""
        results: list[AnalyzedImage] = []
        with self._alone, contextlib.ExitStack() as running:
            helper: _Helper | None = None
            for source in chunk:
                try:
                    if helper is None:
                        helper = _Helper(self._setup, threads=1)
                        running.callback(helper.end)
                except _NOT_STARTED:  # no memory, perhaps: not the photograph's fault
                    results += here([source])
                    continue
                try:
                    results += helper.ask(([source], wanted))
                except _DiedError:
                    helper, name = None, images.describe(source)
                    error = DecodeError(f"{name}: the process that analysed it died")
                    results.append(AnalyzedImage(name, [], error=error))
        return results


def _in_background(
    helpers: Helpers, threads: Sequence[int], prepare: Callable[[], object] = lambda: None
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
            threading.Thread(target=start, args=(number,), name=_NAME, daemon=True).start()

    threading.Thread(target=start_all, name=_NAME, daemon=True).start()


def _end(running: set[_Helper]) -> None:
    while running:
        running.pop().end()


class _DiedError(RuntimeError):
    """A helper ended before it answered."""


class _Helper:
    """One process, ready to work.

    Args:
        threads: chunks that it works on at once.

    Raises:
        OSError: it can't be started.
        _DiedError: it ended before it was ready.
        Exception: what loading the models raised there.
    """

    def __init__(self, setup: Setup, threads: int) -> None:
        self.threads = threads
        # A session of its own: Ctrl-C is the parent's to answer.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._requests, self._answers = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._lock, self._numbers = threading.Lock(), count()
        self._waiting: dict[int, Future[list[AnalyzedImage]]] = {}
        self.alive = True
        try:
            self._send(setup._replace(options=setup.options.with_threads(threads)))
            error = self._receive()
            if error is not None:
                raise error
        except BaseException:
            self.end()
            raise
        threading.Thread(target=self._listen, name=_NAME, daemon=True).start()

    def ask(self, asked: _Asked) -> list[AnalyzedImage]:
        """What it makes of a chunk.

        Raises:
            _DiedError: it ended first.
            Exception: what was raised there.
        """
        answer: Future[list[AnalyzedImage]] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = answer
            if not self.alive:
                raise _DiedError
            self._send((number, *asked))
        return answer.result()

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self.alive = False
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # a request that nobody reads any more
                pipe.close()

    def let_go(self) -> None:
        """In a forked child: close its ends of the pipes; what waits in their buffers is not sent.

        The helper would otherwise outlive the parent, whose end would not be the last.
        """
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError, ValueError):
                os.close(pipe.fileno())
        _forks.abandon(self._requests, self._answers, self._process)

    def _send(self, message: object) -> None:
        packed = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        try:
            self._requests.write(packed)
            self._requests.flush()
        except (OSError, ValueError) as error:  # a broken pipe, a closed one
            raise _DiedError from error

    def _receive(self) -> Any:
        try:
            return pickle.load(self._answers)  # noqa: S301 - our own child's
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise _DiedError from error

    def _listen(self) -> None:
        with contextlib.suppress(_DiedError):
            while True:
                number, answer = self._receive()
                future = self._waiting.pop(number)
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        with self._lock:
            self.alive = False
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(_DiedError())


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise OSError("no pipe to the process")
    return end
