"""An ordered map over the chunks of a stream on a few threads: lazy, bounded, ended by closing."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from faceprint.errors import UsageError

__all__ = ["chunk_size", "chunks", "ordered_map"]

Source = TypeVar("Source")
Result = TypeVar("Result")

_MIN_CHUNK = 8
"""Photographs below which smaller batches cost the networks speed."""


def chunk_size(batch_size: int, workers: int) -> int:
    """Photographs per chunk: the workers of a process share a batch."""
    return min(batch_size, max(_MIN_CHUNK, batch_size // workers))


def chunks(sources: Iterable[Source], size: int, workers: int) -> Iterator[list[Source]]:
    """Split `sources` into lists of `size`; shorter towards the end where their number is known.

    A worker that took a whole chunk as the last one would leave the others idle. Half of an even
    share of what is left keeps all of them busy until nearly the same moment.
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


def ordered_map(
    function: Callable[[list[Source]], list[Result]],
    stream: Iterator[list[Source]],
    *,
    workers: int,
) -> Generator[Result, None, None]:
    """Yield the results of `function` for each chunk of a stream, in the stream's order.

    At most `workers` chunks are worked on, and that many plus one wait, so that a slow chunk
    blocks no worker. Nothing further is read from `stream` until the caller takes results. An
    exception of `function` is raised in its place in the order, one of `stream` at once. Closing
    the generator drops the waiting chunks and returns when the running ones are done.

    Raises:
        UsageError: in a forked child, the parent began this stream.
    """
    owner = os.getpid()
    pending: deque[Future[list[Result]]] = deque()
    pool = ThreadPoolExecutor(workers, "faceprint")
    try:
        while True:
            if os.getpid() != owner:
                raise UsageError("this stream belongs to the parent process; begin one here")
            while len(pending) <= 2 * workers and (chunk := next(stream, None)) is not None:
                pending.append(pool.submit(function, chunk))
            if not pending:
                return
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
