"""Who works on a stream of photographs: threads of this process, and helper processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from faceprint.types import AnalyzedImage
from faceprint.vision.images import ImageSource
from faceprint.vision.load import LoadOptions
from faceprint.vision.photos import FaceOutputs
from faceprint.vision.streaming.ordered_map import chunk_size, chunks, map_lists
from faceprint.vision.streaming.process_pool import ProcessPool
from faceprint.vision.streaming.worker import WorkerSetup

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["StreamExecutor"]


class StreamExecutor:
    """Workers, one a core, that each take some photographs from decoding to embedding.

    Args:
        fp: the models.
        make: opens them with other options.
        setup: the same for another process.
    """

    def __init__(
        self, fp: FaceAnalyzer, make: Callable[[LoadOptions], FaceAnalyzer], setup: WorkerSetup
    ) -> None:
        options = setup.options
        shares = options.threads_by_process()
        self._turn: AbstractContextManager[object] = nullcontext()
        if options.side_by_side:
            # Sessions of one thread, which all workers share. One session on all cores waits for
            # its slowest thread at every operator.
            alone = options.session.thread_count() == 1
            self._models = fp if alone else make(options.with_threads(1))
            self._workers = sum(shares)
        else:
            # Only ONNX Runtime on a CPU allows that. With any other runtime two workers take turns:
            # one decodes while the other has the networks.
            self._models, self._workers, self._turn = fp, 2, threading.Lock()
        self._helpers: ProcessPool | None = None
        self._setup = setup
        if len(shares) > 1:
            self._helpers = ProcessPool(setup, shares, self._models.open)
        self._sharing = max(shares) if options.side_by_side else self._workers

    def many(
        self, sources: Iterable[ImageSource], batch_size: int, wanted: FaceOutputs
    ) -> Generator[AnalyzedImage, None, None]:
        """A stream, in order."""
        lists = chunks(sources, self._size(batch_size), self._workers)
        return self._flow(lists, wanted)

    def parts(
        self, parts: Iterable[Sequence[ImageSource]], batch_size: int
    ) -> Generator[AnalyzedImage, None, None]:
        """Lists one after another; no photograph shares a batch with one of another list."""
        size = self._size(batch_size)
        lists = (
            list(part[start : start + size])
            for part in parts
            for start in range(0, len(part), size)
        )
        return self._flow(lists, FaceOutputs())

    def apart(
        self, part: Sequence[ImageSource], batch_size: int
    ) -> Generator[AnalyzedImage, None, None]:
        """One list as `parts` does it, in a process that may die of a photograph."""
        size = self._size(batch_size)
        helpers = ProcessPool(self._setup, (), self._models.open)
        try:
            for start in range(0, len(part), size):
                yield from helpers.apart(
                    list(part[start : start + size]), FaceOutputs(), self._here
                )
        finally:
            helpers.close()

    def _here(
        self, chunk: list[ImageSource], wanted: FaceOutputs | None = None
    ) -> list[AnalyzedImage]:
        return self._models.analyze_chunk(chunk, wanted or FaceOutputs(), turn=self._turn)

    def _size(self, batch_size: int) -> int:
        # A batch is shared among the workers of one process.
        return chunk_size(batch_size, self._sharing)

    def _flow(
        self, lists: Iterator[list[ImageSource]], wanted: FaceOutputs
    ) -> Generator[AnalyzedImage, None, None]:
        def here(chunk: list[ImageSource]) -> list[AnalyzedImage]:
            return self._here(chunk, wanted)

        def anywhere(chunk: list[ImageSource]) -> list[AnalyzedImage]:
            if self._helpers is None:
                return here(chunk)
            return self._helpers.analyze(chunk, wanted, here)

        return map_lists(anywhere, self._counted(lists), workers=self._workers)

    def _counted(self, lists: Iterator[list[ImageSource]]) -> Iterator[list[ImageSource]]:
        for chunk in lists:
            if self._helpers is not None:
                self._helpers.expect(len(chunk))
            yield chunk
