"""One worker process: `WorkerProcess` is the parent's end of it, `serve` is what it runs.

Both ends send pickles through pipes that no other process has. When the parent's end closes, for
whatever reason, the worker exits at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from faceprint import _forks
from faceprint._memory import give_back_memory, one_arena

if TYPE_CHECKING:
    from faceprint.types import AnalyzedImage
    from faceprint.vision.batch import BatchAnalyzer, FaceOutputs
    from faceprint.vision.images import ImageSource

__all__ = ["THREAD_NAME", "WorkerDiedError", "WorkerProcess", "serve"]

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from faceprint.vision.streaming.worker import serve; serve()"
)

THREAD_NAME = "faceprint-worker"
"""Name of the parent's threads that look after workers."""

_TRIM_EVERY = 512
"""Photographs after which a worker returns free memory to the system."""


class WorkerDiedError(RuntimeError):
    """A worker process ended before it answered."""


class WorkerProcess:
    """The parent's end of one worker process. Ready for work once it is made. Thread-safe.

    Args:
        analyzer: the models that it opens.
        threads: chunks that it works on at once.

    Raises:
        OSError: the process can't be started.
        WorkerDiedError: it ended before it was ready.
        Exception: what opening the models raised there.
    """

    def __init__(self, analyzer: BatchAnalyzer, threads: int) -> None:
        self.threads = threads
        # A group of its own: Ctrl-C goes to the parent alone. (Not a session: Linux would give each
        # worker as much processor time as the parent and its other workers together.)
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        self._requests, self._answers = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._lock, self._numbers = threading.Lock(), count()
        self._pending: dict[int, Future[list[AnalyzedImage]]] = {}
        self.alive = True
        try:
            self._send((analyzer.with_threads(1), threads))
            error = self._receive()
            if error is not None:
                raise error
        except BaseException:
            self.kill()
            raise
        threading.Thread(target=self._read_answers, name=THREAD_NAME, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def analyze(self, chunk: list[ImageSource], outputs: FaceOutputs) -> list[AnalyzedImage]:
        """`BatchAnalyzer.analyze_chunk`, in the worker.

        Raises:
            WorkerDiedError: the worker ended first.
            Exception: what was raised there.
        """
        answer: Future[list[AnalyzedImage]] = Future()
        with self._lock:
            if not self.alive:
                raise WorkerDiedError
            number = next(self._numbers)
            self._pending[number] = answer
            self._send((number, chunk, outputs))
        return answer.result()

    def kill(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.alive = False
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # a request that is never read
                pipe.close()

    def disown(self) -> None:
        """In a forked child: close its copies of the pipes without sending what they buffer.

        Otherwise the worker would outlive the parent, whose end would not be the last one open.
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
        except (OSError, ValueError) as error:  # a broken or closed pipe
            raise WorkerDiedError from error

    def _receive(self) -> Any:
        try:
            return pickle.load(self._answers)  # noqa: S301 - from our own child
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise WorkerDiedError from error

    def _read_answers(self) -> None:
        with contextlib.suppress(WorkerDiedError):
            while True:
                number, answer = self._receive()
                future = self._pending.pop(number)
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        with self._lock:
            self.alive = False
            pending, self._pending = self._pending, {}
        for future in pending.values():
            future.set_exception(WorkerDiedError())


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise OSError("no pipe to the process")
    return end


def serve() -> None:
    """Run a worker process: receive the models, answer None or an error, then answer chunks."""
    one_arena()
    requests, answers = sys.stdin.buffer, _private_stdout()
    try:
        analyzer, threads = pickle.load(requests)  # noqa: S301 - from the parent
        try:
            worker = _Worker(analyzer, threads, answers)
        except Exception as error:  # noqa: BLE001 - raised in the parent
            _send(answers, _sendable(error))
            return
        _send(answers, None)
        if hasattr(signal, "SIGTTOU"):  # a terminal may stop programs in the background that write
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        while True:
            worker.submit(*pickle.load(requests))  # noqa: S301 - from the parent
    except (EOFError, OSError):
        pass
    finally:
        os._exit(0)  # without waiting for the threads: nobody reads what they make


class _Worker:
    """Open models, and a thread for each chunk that is worked on at once."""

    def __init__(self, analyzer: BatchAnalyzer, threads: int, answers: BinaryIO) -> None:
        import cv2

        # Each thread has its own chunk; OpenCV's threads would compete with them.
        cv2.setNumThreads(1)
        self._analyzer = analyzer
        self._analyzer.open()
        self._pool = ThreadPoolExecutor(threads, "faceprint")
        self._answers, self._lock = answers, threading.Lock()
        self._since_trim = 0

    def submit(self, number: int, chunk: list[ImageSource], outputs: FaceOutputs) -> None:
        """Analyze a chunk as soon as a thread is free, and send the answer."""
        self._pool.submit(self._answer, number, chunk, outputs)

    def _answer(self, number: int, chunk: list[ImageSource], outputs: FaceOutputs) -> None:
        answer: list[AnalyzedImage] | Exception
        try:
            answer = self._analyzer.analyze_chunk(chunk, outputs)
        except Exception as error:  # noqa: BLE001 - raised in the parent
            answer = _sendable(error)
        with self._lock:
            _send(self._answers, (number, answer))
            self._since_trim += len(chunk)
            trim = self._since_trim >= _TRIM_EVERY
            self._since_trim %= _TRIM_EVERY
        if trim:
            give_back_memory()


def _private_stdout() -> BinaryIO:
    """A copy of stdout for answers; what a library prints goes to stderr from now on."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _send(answers: BinaryIO, answer: object) -> None:
    answers.write(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
    answers.flush()


def _sendable(error: Exception) -> Exception:
    """The error, or one with its text where it can't be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - pickled here
    except Exception:  # noqa: BLE001 - foreign classes may raise anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
