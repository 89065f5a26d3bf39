"""An ordered map over chunks of a stream on a few threads: lazy, bounded, cancelled on close."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["chunk_size", "map_chunks"]

Source = TypeVar("Source")
Result = TypeVar("Result")

_SMALLEST = 8
"""Photographs below which a network's batch costs speed."""


def chunk_size(sources: Iterable[object], batch_size: int, workers: int) -> int:
    """Photographs that one worker takes at a time.

    A batch is shared among the workers, so that a short stream keeps all of them busy; a stream of
    known length that is shorter still is dealt out evenly.
    """
    size = min(batch_size, max(_SMALLEST, batch_size // workers))
    if isinstance(sources, Sized):
        size = min(size, max(1, -(-len(sources) // workers)))
    return size


def map_chunks(
    work: Callable[[list[Source]], list[Result]],
    sources: Iterable[Source],
    *,
    size: int,
    workers: int,
) -> Iterator[Result]:
    """Yield work's results in the order of the sources.

    At most `workers` chunks are worked on and one more waits; nothing further is read from
    `sources` until the caller takes results. An exception of `work` is raised in its place in the
    order, one of `sources` at once. Closing the iterator drops what waits and ends after what runs.
    """
    reader = iter(sources)
    waiting: deque[Future[list[Result]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="faceprint")
    try:
        while True:
            while len(waiting) <= workers and (chunk := list(islice(reader, size))):
                waiting.append(pool.submit(work, chunk))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
