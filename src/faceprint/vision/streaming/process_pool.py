"""Worker processes that share the photographs of long streams.

Between the networks' calls, an eighth of the time goes to Python code, which runs on one thread at
a time: on sixteen cores one process does a third of what processes of two threads each can do
(docs/performance.md).

Workers start in the background; until one is ready, chunks are analyzed in this process. When a
worker dies, another takes its place, and the photographs that it held are tried one by one in a
process of their own: the photograph that kills that process, too, becomes a result with an error.
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
from faceprint.vision.batch import BatchAnalyzer, FaceOutputs
from faceprint.vision.images import ImageSource
from faceprint.vision.streaming.worker import THREAD_NAME, WorkerDiedError, WorkerProcess

__all__ = ["ProcessPool"]

_MIN_PHOTOGRAPHS = 500
"""Photographs after which workers are started: they take a second or two to be ready."""

_SENDABLE = (str, bytes, Path, np.ndarray)
"""Sources that are sent to workers. Pickling a PIL image would decode it, whatever its size."""

_START_FAILURES = (OSError, RuntimeError, FaceprintError)
"""Errors of starting a process and opening models there."""


class ProcessPool:
    """Worker processes, started once a stream is long enough. Thread-safe.

    Args:
        analyzer: the models; works on chunks itself while no worker is ready.
        threads: the number of threads of each worker.
    """

    def __init__(self, analyzer: BatchAnalyzer, threads: Sequence[int]) -> None:
        self._analyzer, self._threads = analyzer, tuple(threads)
        # A worker is in the queue once for each of its threads that is idle.
        self._idle: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
        self._lock, self._one_by_one_lock = threading.Lock(), threading.Lock()
        self._seen, self._started = 0, False
        self._running: set[WorkerProcess] = set()
        self._finalizer = weakref.finalize(self, _kill_all, self._running)
        _forks.call_after_fork(self)

    def after_fork(self) -> None:
        """Called in a forked child: leave the workers to the parent."""
        self._finalizer.detach()
        for worker in self._running:
            worker.disown()
        _forks.abandon(self)

    def analyze(self, chunk: list[ImageSource], outputs: FaceOutputs) -> list[AnalyzedImage]:
        """Analyze a chunk in an idle worker, or in this process where there is none.

        Raises:
            Exception: what `BatchAnalyzer.analyze_chunk` raised.
        """
        self._count(len(chunk))
        sendable = all(isinstance(source, _SENDABLE) for source in chunk)
        worker = self._take_idle() if sendable else None
        if worker is None:
            return self._analyzer.analyze_chunk(chunk, outputs)
        return self._analyze_in(worker, chunk, outputs)

    def analyze_in_worker(
        self, chunk: list[ImageSource], outputs: FaceOutputs
    ) -> list[AnalyzedImage]:
        """Analyze a chunk in a worker of one thread, or in this process if none can be started."""
        worker = self._take_idle()
        if worker is None:
            self.start_worker(threads=1)
            worker = self._take_idle()
        if worker is None:
            return self._analyzer.analyze_chunk(chunk, outputs)
        return self._analyze_in(worker, chunk, outputs)

    def close(self) -> None:
        """Kill all workers; what they were working on is lost."""
        self._finalizer()

    def start_worker(self, threads: int) -> None:
        """Start a worker; if that fails, the pool goes on without it."""
        try:
            worker = WorkerProcess(self._analyzer, threads)
        except _START_FAILURES:
            return
        with self._lock:
            if not self._finalizer.alive:
                worker.kill()
                return
            self._running.add(worker)
        for _ in range(threads):
            self._idle.put(worker)

    def start(self) -> None:
        """Start the workers in the background, if they are not."""
        with self._lock:
            if self._started:
                return
            self._started = True
        _start_in_background(self, self._threads, prepare=self._analyzer.open)

    def _count(self, photographs: int) -> None:
        """Start the workers once there have been enough photographs."""
        with self._lock:
            self._seen += photographs
            enough = self._seen >= _MIN_PHOTOGRAPHS
        if enough:
            self.start()

    def _take_idle(self) -> WorkerProcess | None:
        with contextlib.suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if worker.alive:
                    return worker
        return None

    def _analyze_in(
        self, worker: WorkerProcess, chunk: list[ImageSource], outputs: FaceOutputs
    ) -> list[AnalyzedImage]:
        try:
            return worker.analyze(chunk, outputs)
        except WorkerDiedError:
            self._replace(worker)
            return self._one_by_one(chunk, outputs)
        finally:
            if worker.alive:
                self._idle.put(worker)

    def _replace(self, worker: WorkerProcess) -> None:
        with self._lock:
            if worker not in self._running:
                return  # another thread that waited for it has replaced it
            self._running.remove(worker)
        worker.kill()
        if self._started:
            _start_in_background(self, [worker.threads])

    def _one_by_one(self, chunk: list[ImageSource], outputs: FaceOutputs) -> list[AnalyzedImage]:
        """Analyze photographs that a worker held when it died, each in a batch of its own."""
        results: list[AnalyzedImage] = []
        with self._one_by_one_lock, contextlib.ExitStack() as workers:
            worker: WorkerProcess | None = None
            for source in chunk:
                try:
                    if worker is None:
                        worker = WorkerProcess(self._analyzer, threads=1)
                        workers.callback(worker.kill)
                except _START_FAILURES:  # perhaps no memory: not the photograph's fault
                    results += self._analyzer.analyze_chunk([source], outputs)
                    continue
                try:
                    results += worker.analyze([source], outputs)
                except WorkerDiedError:
                    worker, name = None, images.describe(source)
                    error = DecodeError(f"{name}: the process that analyzed it died")
                    results.append(AnalyzedImage(name, [], error=error))
        return results


def _start_in_background(
    pool: ProcessPool, threads: Sequence[int], prepare: Callable[[], object] = lambda: None
) -> None:
    """Start a worker for each number of threads.

    Args:
        prepare: called first; writes the files that all workers read.
    """
    # A weak reference, so that these threads don't keep the pool alive.
    reference = weakref.ref(pool)

    def start(count: int) -> None:
        pool = reference()
        if pool is not None:
            pool.start_worker(count)

    def start_all() -> None:
        try:
            prepare()
        except _START_FAILURES:
            return  # the stream meets the same error and raises it
        for count in threads:
            threading.Thread(target=start, args=(count,), name=THREAD_NAME, daemon=True).start()

    threading.Thread(target=start_all, name=THREAD_NAME, daemon=True).start()


def _kill_all(running: set[WorkerProcess]) -> None:
    while running:
        running.pop().kill()
