"""One helper process, seen from its parent: started, asked, ended."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import Future
from itertools import count
from typing import IO, Any

from faceprint import _forks
from faceprint.types import AnalyzedImage
from faceprint.vision.images import ImageSource
from faceprint.vision.photos import FaceOutputs
from faceprint.vision.streaming.worker import WorkerSetup

__all__ = ["NAME", "DiedError", "Process"]

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from faceprint.vision.streaming.worker import serve; serve()"
)

NAME = "faceprint-helper"
"""Of the threads that look after it."""

_Asked = tuple[list[ImageSource], FaceOutputs]


class DiedError(RuntimeError):
    """A helper ended before it answered."""


class Process:
    """One process, ready to work.

    Args:
        threads: chunks that it works on at once.

    Raises:
        OSError: it can't be started.
        DiedError: it ended before it was ready.
        Exception: what loading the models raised there.
    """

    def __init__(self, setup: WorkerSetup, threads: int) -> None:
        self.threads = threads
        # A session of its own: Ctrl-C is the parent's to answer.
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(sys.path)],
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
        threading.Thread(target=self._listen, name=NAME, daemon=True).start()

    def ask(self, asked: _Asked) -> list[AnalyzedImage]:
        """What it makes of a chunk.

        Raises:
            DiedError: it ended first.
            Exception: what was raised there.
        """
        answer: Future[list[AnalyzedImage]] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = answer
            if not self.alive:
                raise DiedError
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
            raise DiedError from error

    def _receive(self) -> Any:
        try:
            return pickle.load(self._answers)  # noqa: S301 - our own child's
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise DiedError from error

    def _listen(self) -> None:
        with contextlib.suppress(DiedError):
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
            future.set_exception(DiedError())


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise OSError("no pipe to the process")
    return end
