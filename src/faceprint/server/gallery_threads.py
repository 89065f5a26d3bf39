"""The gallery of a service: one thread searches, another one writes, and neither waits long.

A gallery object belongs to one thread at a time. Searches must not wait for an enrollment, which
analyzes photographs, so there are two objects on the same gallery; each sees what the other wrote.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from faceprint.recognition.gallery.analyzer import Analyzer
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.server.work_queue import WorkQueue
from faceprint.types import (
    AnalyzedImage,
    Embedding,
    Face,
    Identification,
    Image,
    OperatingPoint,
)
from faceprint.zoo.card import ModelCard

__all__ = ["GalleryThreads", "Identified", "QueuedAnalyzer", "SearchOptions"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How faces are identified; the arguments of `Gallery.identify`."""

    top: int = 5
    fpir: float | None = None
    threshold: float | None = None
    min_quality: float | None = None


class Identified(NamedTuple):
    """The operating point of a search, and its answers in the order of the faces."""

    point: OperatingPoint
    answers: list[Identification]


@dataclass(eq=False, slots=True)
class _Search:
    faces: Sequence[Face]
    options: SearchOptions
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Identified]


class QueuedAnalyzer:
    """An analyzer whose photographs go through the service's queue; for threads, not coroutines.

    Args:
        analyzer: gives the cards, and embeds crops.
        queue: analyzes photographs.
        loop: where the queue's answers arrive.
    """

    def __init__(
        self, analyzer: Analyzer, queue: WorkQueue, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._analyzer, self._queue, self._loop = analyzer, queue, loop

    @property
    def name(self) -> str:
        """The pack's name."""
        return self._analyzer.name

    @property
    def embedder_card(self) -> ModelCard:
        """The embedder."""
        return self._analyzer.embedder_card

    @property
    def detector_card(self) -> ModelCard:
        """The detector."""
        return self._analyzer.detector_card

    @property
    def mirror(self) -> bool:
        """Whether embeddings are averaged with those of the mirror image."""
        return self._analyzer.mirror

    def analyze(self, source: Any, *, keep_crops: bool = False) -> list[Face]:
        """The faces of one photograph, given as bytes."""
        (result,) = self.analyze_many([source], keep_crops=keep_crops)
        if result.error is not None:
            raise result.error
        return result.faces

    def analyze_many(
        self, sources: Iterable[Any], *, batch_size: int = 32, keep_crops: bool = False
    ) -> Iterator[AnalyzedImage]:
        """Several photographs, in order; each waits for the one before it."""
        for source in sources:
            work = self._queue.analyze(source, keep_crops=keep_crops)
            yield asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def embed_crops(self, crops: Sequence[Image]) -> list[Embedding]:
        """Embed crops that are aligned already."""
        return self._analyzer.embed_crops(crops)


class GalleryThreads:
    """A gallery, opened twice: for searches and for changes.

    Args:
        location: a file or `postgresql://...`; made if there is none.
        analyzer: what analyzes photographs to enroll.
        key: of an encrypted gallery; None looks at the environment.

    Raises:
        GalleryError: it can't be opened.
        ModelMismatchError: it belongs to another embedder.
    """

    def __init__(self, location: str, analyzer: Analyzer, key: Key | None = None) -> None:
        self._open = lambda: Gallery.open(location, analyzer, key=key)
        self._reading = ThreadPoolExecutor(1, "faceprint-search")
        self._writing = ThreadPoolExecutor(1, "faceprint-write")
        self._searches: deque[_Search] = deque()
        try:
            self._writer: Gallery = self._writing.submit(self._open).result()
            self._reader: Gallery = self._reading.submit(self._open).result()
        except BaseException:
            self._reading.shutdown()
            self._writing.shutdown()
            raise

    @property
    def notices(self) -> tuple[str, ...]:
        """What opening it did, for whoever starts the service."""
        return self._writer.notices

    async def read(self, question: Callable[[Gallery], Result]) -> Result:
        """What the question answers."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, question, self._reader)

    async def identify(self, faces: Sequence[Face], options: SearchOptions) -> Identified:
        """Who these embedded faces are (`Gallery.identify_faces`).

        Photographs are analyzed in batches, so several requests ask at once: all that wait are
        answered by one search.
        """
        loop = asyncio.get_running_loop()
        search = _Search(faces, options, loop, loop.create_future())
        self._searches.append(search)
        self._reading.submit(self._identify_waiting)
        return await search.answer

    def _identify_waiting(self) -> None:
        waiting: defaultdict[SearchOptions, list[_Search]] = defaultdict(list)
        while self._searches:
            search = self._searches.popleft()
            waiting[search.options].append(search)
        for options, searches in waiting.items():
            outcomes: list[Identified] | BaseException
            try:
                outcomes = self._identified(options, searches)
            except BaseException as error:  # noqa: BLE001 - raised again where the answers are awaited
                outcomes = error
            searches[0].loop.call_soon_threadsafe(_hand_over, searches, outcomes)

    def _identified(self, options: SearchOptions, searches: list[_Search]) -> list[Identified]:
        point = self._reader.operating_point(fpir=options.fpir, threshold=options.threshold)
        faces = [face for search in searches for face in search.faces]
        answers = iter(
            self._reader.identify_faces(
                faces, point, top=options.top, min_quality=options.min_quality
            )
        )
        return [Identified(point, list(islice(answers, len(search.faces)))) for search in searches]

    async def write(self, change: Callable[[Gallery], Result]) -> Result:
        """What the change answers; it is finished though the request is cancelled."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writing, change, self._writer))

    def close(self) -> None:
        """Finish what was begun, and let go of the gallery."""
        for pool, gallery in ((self._writing, self._writer), (self._reading, self._reader)):
            pool.submit(gallery.close).result()
            pool.shutdown()


def _hand_over(searches: list[_Search], outcomes: list[Identified] | BaseException) -> None:
    """Give the requests their answers, in their own thread."""
    for number, search in enumerate(searches):
        if search.answer.done():  # its client has gone away
            continue
        if isinstance(outcomes, BaseException):
            search.answer.set_exception(outcomes)
        else:
            search.answer.set_result(outcomes[number])
