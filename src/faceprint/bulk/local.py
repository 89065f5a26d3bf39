"""The interface of engines, and the engine that uses this machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple, Protocol

from faceprint.bulk import work
from faceprint.bulk.work import Advance, Content, Outcome

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["Engine", "LocalEngine", "Part"]

_AHEAD = 512
"""Photographs whose digests are computed ahead of the embedding."""


class Part(NamedTuple):
    """The photographs of one part, without duplicates.

    Attributes:
        suspect: an earlier run ended inside this part, perhaps killed by one of its photographs.
    """

    sources: tuple[str, ...]
    stamps: tuple[str, ...]
    digests: tuple[bytes, ...]
    suspect: bool = False


class Engine(Protocol):
    """Embeds parts, in order."""

    batch_size: int

    def contents(
        self, inputs: Iterator[tuple[int, str, Content | None]]
    ) -> Generator[tuple[int, str, Content], None, None]:
        """The content of each photograph's file."""
        ...

    def outcomes(self, parts: Iterator[Part], advance: Advance) -> Iterator[tuple[Part, Outcome]]:
        """The faces of each part."""
        ...


class LocalEngine:
    """Embeds as `analyze_many` does, and computes digests on threads ahead of it."""

    def __init__(self, analyzer: FaceAnalyzer, batch_size: int, threads: int = 4) -> None:
        self._analyzer, self.batch_size, self._threads = analyzer, batch_size, threads

    def contents(
        self, inputs: Iterator[tuple[int, str, Content | None]]
    ) -> Generator[tuple[int, str, Content], None, None]:
        """The content of each photograph's file; the next few hundred are read meanwhile."""
        waiting: deque[tuple[int, str, Future[Content]]] = deque()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="faceprint-digest")
        try:
            for position, source, known in inputs:
                future = pool.submit(work.content_of, source, known)
                waiting.append((position, source, future))
                if len(waiting) > _AHEAD:
                    position, source, future = waiting.popleft()
                    yield position, source, future.result()
            while waiting:
                position, source, future = waiting.popleft()
                yield position, source, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def outcomes(self, parts: Iterator[Part], advance: Advance) -> Iterator[tuple[Part, Outcome]]:
        """One part after another; the next one starts before the workers run out of work.

        A suspect part is embedded in another process, since it may kill it.
        """
        for suspect, alike in groupby(parts, lambda part: part.suspect):
            if not suspect:
                yield from self._in_turn(alike, advance)
                continue
            for part in alike:
                photographs = work.FetchedSources(part.sources)
                stream = self._analyzer.analyze_in_worker(photographs, batch_size=self.batch_size)
                with closing(stream) as results:
                    yield part, work.outcome_of(results, part.sources, part.stamps, advance)

    def _in_turn(self, parts: Iterator[Part], advance: Advance) -> Iterator[tuple[Part, Outcome]]:
        started: deque[Part] = deque()

        def sources() -> Iterator[work.FetchedSources]:
            for part in parts:
                started.append(part)
                yield work.FetchedSources(part.sources)

        stream = self._analyzer.analyze_groups(sources(), batch_size=self.batch_size)
        with closing(stream):
            for first in stream:
                part = started.popleft()
                results = chain([first], stream)
                yield part, work.outcome_of(results, part.sources, part.stamps, advance)
