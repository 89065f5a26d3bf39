"""An ordered map over chunks of a stream on a few threads: lazy, bounded, cancelled on close."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from faceprint.errors import UsageError

__all__ = ["chunk_size", "chunks", "map_lists"]

Source = TypeVar("Source")
Result = TypeVar("Result")

_SMALLEST = 8
"""Photographs below which a network's batch costs speed."""


def chunk_size(batch_size: int, workers: int) -> int:
    """Photographs that one worker takes at a time: a batch is shared among the workers."""
    return min(batch_size, max(_SMALLEST, batch_size // workers))


def chunks(sources: Iterable[Source], size: int, workers: int) -> Iterator[list[Source]]:
    """`sources` in lists of `size`; where their number is known, less towards the end.

    A worker that took a whole list as the last one would leave the others idle for as long. Half of
    an even share of what is left keeps all busy until nearly the same moment.
    """
    reader = iter(sources)
    left = len(sources) if isinstance(sources, Sized) else None
    while True:
        take = size if left is None else min(size, max(1, -(-left // (2 * workers))))
        chunk = list(islice(reader, take))
        if not chunk:
            return
        left = None if left is None else left - len(chunk)
        yield chunk


def map_lists(
    work: Callable[[list[Source]], list[Result]],
    lists: Iterator[list[Source]],
    *,
    workers: int,
) -> Generator[Result, None, None]:
    """Yield work's results in the order of the sources.

    At most `workers` lists are worked on, and as many and one more wait, so that a slow one holds
    nobody up; nothing further is read from `lists` until the caller takes results. An exception of
    `work` is raised in its place in the order, one of `lists` at once. Closing the iterator drops
    what waits and ends after what runs.

    Raises:
        UsageError: it was begun before this process was forked, and its threads are the parent's.
    """
    owner = os.getpid()
    waiting: deque[Future[list[Result]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="faceprint")
    try:
        while True:
            if os.getpid() != owner:
                raise UsageError("this stream belongs to the parent process; begin one here")
            while len(waiting) <= 2 * workers and (chunk := next(lists, None)) is not None:
                waiting.append(pool.submit(work, chunk))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
