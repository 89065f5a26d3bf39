"""The gallery of a service: one thread searches, another one writes, and neither waits long.

A gallery object belongs to one thread at a time. Searches must not wait for an enrollment, which
analyzes photographs, so there are two objects on the same gallery; each sees what the other wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from faceprint.recognition.gallery.analyzer import Analyzer
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.server.work_queue import WorkQueue
from faceprint.types import AnalyzedImage, Embedding, Face, Image
from faceprint.zoo.card import ModelCard

__all__ = ["GalleryThreads", "QueuedAnalyzer"]

Result = TypeVar("Result")


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

    async def write(self, change: Callable[[Gallery], Result]) -> Result:
        """What the change answers; it is finished though the request is cancelled."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writing, change, self._writer))

    def close(self) -> None:
        """Finish what was begun, and let go of the gallery."""
        for pool, gallery in ((self._writing, self._writer), (self._reading, self._reader)):
            pool.submit(gallery.close).result()
            pool.shutdown()
