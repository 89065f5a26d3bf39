"""What a worker process runs; `process_pool.py` starts it and alone speaks to it.

Both ends send pickles, through pipes that nobody else has. When the parent's end closes, whatever
the reason, the helper ends at once.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from faceprint._memory import give_back_memory, one_arena

if TYPE_CHECKING:
    from faceprint.types import AnalyzedImage
    from faceprint.vision.load import LoadOptions
    from faceprint.vision.photos import FaceOutputs
    from faceprint.zoo.card import ModelCard

__all__ = ["WorkerSetup", "serve"]

_TRIM_EVERY = 512
"""Photographs after which free memory goes back to the system."""


class WorkerSetup(NamedTuple):
    """The models, and how to run them: as many photographs at once as `options` has threads."""

    name: str
    detector_card: ModelCard
    embedder_card: ModelCard
    options: LoadOptions


def serve() -> None:
    """Read a `WorkerSetup`, answer None or an error, then answer (number, chunk, wanted)."""
    one_arena()
    requests, answers = sys.stdin.buffer, _private_stdout()
    try:
        setup: WorkerSetup = pickle.load(requests)  # noqa: S301 - the parent's
        try:
            worker = _Worker(setup, answers)
        except Exception as error:  # noqa: BLE001 - it is raised where somebody can answer it
            _send(answers, _plain(error))
            return
        _send(answers, None)
        while True:
            worker.take(*pickle.load(requests))  # noqa: S301 - the parent's
    except (EOFError, OSError):
        pass
    finally:
        os._exit(0)  # whatever the threads are at, nobody waits for it


class _Worker:
    """The models, open, and a thread for each photograph that is worked on at once."""

    def __init__(self, setup: WorkerSetup, answers: BinaryIO) -> None:
        import cv2

        from faceprint.vision.analyzer import FaceAnalyzer

        # The threads here have photographs of their own; a second level would fight them.
        cv2.setNumThreads(1)
        options = setup.options
        self._fp = FaceAnalyzer(*setup._replace(options=options.with_threads(1)))
        self._fp.open()
        self._pool = ThreadPoolExecutor(options.session.thread_count(), "faceprint")
        self._answers, self._lock = answers, threading.Lock()
        self._done = 0

    def take(self, number: int, chunk: list[Any], wanted: FaceOutputs) -> None:
        """Work on a chunk as soon as a thread is free, and send what comes of it."""
        self._pool.submit(self._answer, number, chunk, wanted)

    def _answer(self, number: int, chunk: list[Any], wanted: FaceOutputs) -> None:
        answer: list[AnalyzedImage] | Exception
        try:
            answer = self._fp.analyze_chunk(chunk, wanted)
        except Exception as error:  # noqa: BLE001 - as above
            answer = _plain(error)
        with self._lock:
            _send(self._answers, (number, answer))
            self._done += len(chunk)
            trim, self._done = self._done >= _TRIM_EVERY, self._done % _TRIM_EVERY
        if trim:
            give_back_memory()


def _private_stdout() -> BinaryIO:
    """Where answers go; what a library prints goes to stderr instead."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _send(answers: BinaryIO, answer: object) -> None:
    answers.write(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
    answers.flush()


def _plain(error: Exception) -> Exception:
    """The error if it can be sent, or its words: some runtimes' can't."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    except Exception:  # noqa: BLE001 - whatever a foreign class does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
