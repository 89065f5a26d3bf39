"""One bounded queue for the photographs of all requests, and a thread per core that works on it.

Requests never analyze anything themselves: they put photographs here and wait. A thread takes what
waits, up to a small batch, so that photographs of several clients share the networks' calls. A
photograph whose client has gone away is dropped before it is begun.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from faceprint._memory import give_back_memory
from faceprint.types import AnalyzedImage

__all__ = ["AnalyzeBatch", "WorkQueue", "WorkQueueFullError"]

_TRIM_EVERY = 64
"""Photographs after which free memory is given back to the system."""


class WorkQueueFullError(Exception):
    """As many photographs wait as may."""


class AnalyzeBatch(Protocol):
    """Analyzes photographs together; one outcome each, in their order."""

    def __call__(
        self, images: Sequence[bytes], /, *, embed: bool, keep_crops: bool
    ) -> list[AnalyzedImage]:
        """Their faces, or the error of each."""
        ...


Observe = Callable[[str, float], None]
"""Told the name of a stage and its seconds, or `batch` and a number of photographs."""


@dataclass(eq=False)
class _Job:
    image: bytes
    embed: bool
    keep_crops: bool
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[AnalyzedImage]
    since: float = field(default_factory=time.perf_counter)

    def finish(self, outcome: AnalyzedImage | BaseException) -> None:
        """Hand the outcome to the request, in its own thread."""

        def hand_over() -> None:
            if self.answer.done():
                return
            if isinstance(outcome, BaseException):
                self.answer.set_exception(outcome)
            else:
                self.answer.set_result(outcome)

        self.loop.call_soon_threadsafe(hand_over)


class WorkQueue:
    """Photographs that wait, and the threads that analyze them. Thread-safe.

    Args:
        analyze: works on one batch; called by several threads at once.
        workers: number of threads.
        places: photographs that may wait or be worked on; more are refused.
        batch_size: photographs that one thread takes at a time, at most.
        observe: told how long things took.
    """

    def __init__(
        self,
        analyze: AnalyzeBatch,
        *,
        workers: int,
        places: int,
        batch_size: int = 8,
        observe: Observe = lambda stage, value: None,
    ) -> None:
        self._analyze, self._places, self._batch_size = analyze, places, batch_size
        self._observe = observe
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._running, self._idle, self._closed, self._since_trim = 0, 0, False, 0
        self._threads = [
            threading.Thread(target=self._work, name=f"faceprint-serve-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Photographs that wait or are worked on."""
        with self._changed:
            return len(self._waiting) + self._running

    async def analyze(
        self, image: bytes, *, embed: bool = True, keep_crops: bool = False
    ) -> AnalyzedImage:
        """The faces of one photograph.

        Cancelling the call gives its place back, unless the photograph is being worked on.

        Raises:
            WorkQueueFullError: there is no place; nothing was kept.
            ModelError: the models can't be used.
        """
        loop = asyncio.get_running_loop()
        job = _Job(image, embed, keep_crops, loop, loop.create_future())
        with self._changed:
            if self._closed or len(self._waiting) + self._running >= self._places:
                raise WorkQueueFullError
            self._waiting.append(job)
            self._changed.notify()
        try:
            return await job.answer
        except asyncio.CancelledError:
            with self._changed:
                if job in self._waiting:
                    self._waiting.remove(job)
            raise

    def close(self) -> None:
        """Finish what was taken, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._take():
            started = time.perf_counter()
            for job in batch:
                self._observe("queue", started - job.since)
            outcomes: Sequence[AnalyzedImage | BaseException]
            try:
                outcomes = self._analyze(
                    [job.image for job in batch],
                    embed=batch[0].embed,
                    keep_crops=batch[0].keep_crops,
                )
            except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
                outcomes = [error] * len(batch)
            self._observe("analyze", time.perf_counter() - started)
            self._observe("batch", len(batch))
            with self._changed:
                self._running -= len(batch)
                self._since_trim += len(batch)
                trim = self._since_trim >= _TRIM_EVERY
                self._since_trim %= _TRIM_EVERY
            for job, outcome in zip(batch, outcomes, strict=True):
                job.finish(outcome)
            if trim:
                give_back_memory()

    def _take(self) -> list[_Job]:
        """The next batch of the same kind; empty when the queue was closed and is done."""
        with self._changed:
            self._idle += 1
            while not self._waiting:
                if self._closed:
                    return []
                self._changed.wait()
            # What waits is shared among the threads that are idle.
            share = -(-len(self._waiting) // self._idle)
            self._idle -= 1
            batch: list[_Job] = []
            while self._waiting and len(batch) < min(share, self._batch_size):
                job = self._waiting[0]
                kind = (job.embed, job.keep_crops)
                if batch and kind != (batch[0].embed, batch[0].keep_crops):
                    break
                batch.append(self._waiting.popleft())
            self._running += len(batch)
            return batch
