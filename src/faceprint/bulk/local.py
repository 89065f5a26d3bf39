"""What an engine is, and the one of this machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple, Protocol

from faceprint.bulk import work
from faceprint.bulk.work import Content, Outcome, Seen
from faceprint.types import AnalyzedImage

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["Engine", "LocalEngine", "Part"]

_AHEAD = 512
"""Photographs whose digests are taken while others are worked on."""


class Part(NamedTuple):
    """Photographs of one part, each content once, and what was known of them when it was cut.

    Attributes:
        suspect: an earlier run ended in the middle of it, perhaps killed by one of them.
    """

    sources: tuple[str, ...]
    stamps: tuple[str, ...]
    digests: tuple[bytes, ...]
    suspect: bool = False


class Engine(Protocol):
    """Does parts; in order, and lazily where it can."""

    batch_size: int

    def contents(
        self, wanted: Iterator[tuple[int, str, Content | None]]
    ) -> Generator[tuple[int, str, Content], None, None]:
        """What each photograph's file holds."""
        ...

    def outcomes(self, parts: Iterator[Part], seen: Seen) -> Iterator[tuple[Part, Outcome]]:
        """What came of each part; `seen` is called with how many photographs are done."""
        ...


class LocalEngine:
    """This machine: digests on threads, a little ahead; the work as `analyze_many` does it."""

    def __init__(self, fp: FaceAnalyzer, batch_size: int, threads: int = 4) -> None:
        self._fp, self.batch_size, self._threads = fp, batch_size, threads

    def contents(
        self, wanted: Iterator[tuple[int, str, Content | None]]
    ) -> Generator[tuple[int, str, Content], None, None]:
        """What each photograph's file holds; the next few hundred are read meanwhile."""
        waiting: deque[tuple[int, str, Future[Content]]] = deque()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="faceprint-digest")
        try:
            for position, source, known in wanted:
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

    def outcomes(self, parts: Iterator[Part], seen: Seen) -> Iterator[tuple[Part, Outcome]]:
        """A part after the other, the next begun before the workers run out of work.

        Suspect ones are done in another process, which may die of them.
        """
        for suspect, alike in groupby(parts, lambda part: part.suspect):
            if not suspect:
                yield from self._side_by_side(alike, seen)
                continue
            for part in alike:
                sources, size = work.Opened(part.sources), self.batch_size
                with closing(self._fp.analyze_in_worker(sources, batch_size=size)) as results:
                    yield part, self._outcome(results, part, seen)

    def _outcome(self, results: Iterator[AnalyzedImage], part: Part, seen: Seen) -> Outcome:
        dim = self._fp.embedder_card.dim or 0
        return work.outcome_of(results, part.sources, part.stamps, dim, seen)

    def _side_by_side(self, parts: Iterator[Part], seen: Seen) -> Iterator[tuple[Part, Outcome]]:
        begun: deque[Part] = deque()

        def opened() -> Iterator[work.Opened]:
            for part in parts:
                begun.append(part)
                yield work.Opened(part.sources)

        stream = self._fp.analyze_groups(opened(), batch_size=self.batch_size)
        with closing(stream):
            for first in stream:
                part = begun.popleft()
                yield part, self._outcome(chain([first], stream), part, seen)
