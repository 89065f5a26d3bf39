"""Who analyzes a stream: threads of this process, and worker processes where they pay."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing

from faceprint.types import AnalyzedImage
from faceprint.vision.batch import BatchAnalyzer, FaceOutputs
from faceprint.vision.images import ImageSource
from faceprint.vision.streaming.ordered_map import chunk_size, chunks, ordered_map
from faceprint.vision.streaming.process_pool import ProcessPool

__all__ = ["StreamExecutor"]


class StreamExecutor:
    """Analyzes streams of photographs in chunks, with one worker thread per core.

    Args:
        analyzer: the models; opened again with one thread each where threads can share a session.
    """

    def __init__(self, analyzer: BatchAnalyzer) -> None:
        options = analyzer.options
        threads = options.threads_by_process()
        if options.can_share_sessions:
            # One session on all cores waits for its slowest thread at every operator; sessions of
            # one thread, shared by all workers, don't.
            one_thread = options.session.thread_count() == 1
            self._analyzer = analyzer if one_thread else analyzer.with_threads(1)
            self._workers, self._batch_shares = sum(threads), max(threads)
        elif options.on_accelerator:
            # Threads decode ahead of it, one whole batch each.
            self._analyzer = analyzer
            self._workers, self._batch_shares = max(2, sum(threads)), 1
        else:
            # One decodes while the other runs the networks.
            self._analyzer, self._workers, self._batch_shares = analyzer, 2, 2
        self._pool = ProcessPool(self._analyzer, threads) if len(threads) > 1 else None

    def analyze(
        self, sources: Iterable[ImageSource], batch_size: int, outputs: FaceOutputs
    ) -> Generator[AnalyzedImage, None, None]:
        """Analyze one stream, lazily and in order."""
        return self._run(chunks(sources, self._chunk_size(batch_size), self._workers), outputs)

    def analyze_batch(
        self, sources: Sequence[ImageSource], outputs: FaceOutputs
    ) -> list[AnalyzedImage]:
        """Analyze one batch in the calling thread, or in a worker process where there is one."""
        if self._pool is None:
            return self._analyzer.analyze_chunk(sources, outputs)
        return self._pool.analyze(list(sources), outputs)

    def start(self) -> None:
        """Open the models now, and start the worker processes without waiting for a long stream."""
        self._analyzer.open()
        if self._pool is not None:
            self._pool.start()

    def analyze_groups(
        self, groups: Iterable[Sequence[ImageSource]], batch_size: int
    ) -> Generator[AnalyzedImage, None, None]:
        """Analyze one group after another; no batch holds photographs of two groups."""
        size = self._chunk_size(batch_size)
        return self._run(
            (chunk for group in groups for chunk in _split(group, size)), FaceOutputs()
        )

    def analyze_in_worker(
        self, group: Sequence[ImageSource], batch_size: int
    ) -> Generator[AnalyzedImage, None, None]:
        """Analyze one group as `analyze_groups` does, in a worker process that may die of it."""
        with closing(ProcessPool(self._analyzer, threads=())) as pool:
            for chunk in _split(group, self._chunk_size(batch_size)):
                yield from pool.analyze_in_worker(chunk, FaceOutputs())

    def _chunk_size(self, batch_size: int) -> int:
        return chunk_size(batch_size, self._batch_shares)

    def _run(
        self, stream: Iterator[list[ImageSource]], outputs: FaceOutputs
    ) -> Generator[AnalyzedImage, None, None]:
        analyze = self._pool.analyze if self._pool else self._analyzer.analyze_chunk
        return ordered_map(lambda chunk: analyze(chunk, outputs), stream, workers=self._workers)


def _split(group: Sequence[ImageSource], size: int) -> Iterator[list[ImageSource]]:
    return (list(group[start : start + size]) for start in range(0, len(group), size))
