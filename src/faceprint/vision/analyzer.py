"""The class that users hold: photographs in, faces with embeddings out."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence

from faceprint import _forks, settings
from faceprint.errors import UsageError
from faceprint.types import AnalyzedImage, Embedding, Face, Image
from faceprint.vision.batch import BatchAnalyzer, FaceOutputs
from faceprint.vision.device_choice import choose_device
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.images import ImageSource
from faceprint.vision.load import Detector, LoadOptions, resolve
from faceprint.vision.streaming.executor import StreamExecutor
from faceprint.zoo.card import ModelCard

__all__ = ["FaceAnalyzer", "FacePrint", "load"]


class FaceAnalyzer:
    """A detector and an embedder, opened on first use. Thread-safe; `load` makes one.

    A forked child opens its own sessions. A pickle holds the cards and options, no weights.
    """

    def __init__(
        self,
        name: str,
        detector_card: ModelCard,
        embedder_card: ModelCard,
        options: LoadOptions | None = None,
    ) -> None:
        self.name = name
        self.detector_card, self.embedder_card = detector_card, embedder_card
        self._batch = BatchAnalyzer(detector_card, embedder_card, options or LoadOptions())
        self._executor: StreamExecutor | None = None
        self._executor_lock = threading.Lock()
        _forks.call_after_fork(self)

    def after_fork(self) -> None:
        """Called in a forked child, where the executor's threads and workers do not exist."""
        _forks.abandon(self._executor)
        self._executor, self._executor_lock = None, threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        arguments = self.name, self.detector_card, self.embedder_card, self._batch.options
        return FaceAnalyzer, arguments

    @property
    def detector(self) -> Detector:
        """The detector, opened on first use."""
        return self._batch.detector

    @property
    def embedder(self) -> VectorEmbedder:
        """The embedder, opened on first use."""
        return self._batch.embedder

    @property
    def runtime(self) -> str:
        """The runtime of both models, such as `onnxruntime` or `onnxruntime:cuda`."""
        name = self._batch.options.runtime or settings.default_runtime()
        return name if self.device == "cpu" else f"{name}:{self.device}"

    @property
    def device(self) -> str:
        """The device of both models, such as `cpu` or `cuda:1`."""
        return self._batch.options.device

    @property
    def processes(self) -> int:
        """The number of processes that share long streams."""
        return len(self._batch.options.threads_by_process())

    @property
    def mirror(self) -> bool:
        """Whether embeddings are averaged with mirror images beyond what the card asks for."""
        return self._batch.options.mirror and not self.embedder_card.input.mirrored

    def open(self) -> None:
        """Open both models now, so that the first photograph does not wait for them."""
        self._batch.open()

    def start(self) -> None:
        """Open now what `analyze_batch` and `analyze_many` work with.

        These are models with sessions of one thread, and the worker processes that `load` was
        given; those start in the background, and batches are analyzed here until they are ready.

        Raises:
            ModelError: a model can't be opened.
        """
        self._stream_executor(1).start()

    def analyze(
        self,
        source: ImageSource,
        *,
        embed: bool = True,
        keep_crops: bool = False,
        quality: bool = True,
    ) -> list[Face]:
        """The faces of one photograph, largest first; empty when there is none.

        Args:
            source: path, bytes, PIL image or RGB uint8 array.
            embed: False leaves `Face.embedding` None and does not open the embedder.
            keep_crops: keep the aligned crop on every face.
            quality: False leaves `Face.quality` None. Without `embed`, `quality` and `keep_crops`
                no crop is cut, which saves decoding a large photograph at full size.

        Raises:
            DecodeError: the photograph can't be used.
        """
        return self._batch.analyze(source, FaceOutputs(embed, quality, keep_crops))

    def analyze_many(
        self,
        sources: Iterable[ImageSource],
        *,
        batch_size: int = 32,
        embed: bool = True,
        keep_crops: bool = False,
        quality: bool = True,
    ) -> Iterator[AnalyzedImage]:
        """Analyze a stream of photographs, lazily and in order.

        There is one worker thread per core, each with a batch of its own. If `load` was given
        `processes`, that many processes share long streams. A photograph that can't be used
        comes out with `error` set, and the stream goes on. Memory is bounded by one batch per
        worker, and a batch by 16 megapixels, however long the stream is.

        Args:
            embed, keep_crops, quality: see `analyze`.

        Raises:
            UsageError: `batch_size` is below 1.
            ModelError: a model can't be opened.
        """
        outputs = FaceOutputs(embed, quality, keep_crops)
        return self._stream_executor(batch_size).analyze(sources, batch_size, outputs)

    def analyze_batch(
        self,
        sources: Sequence[ImageSource],
        *,
        embed: bool = True,
        keep_crops: bool = False,
        quality: bool = True,
    ) -> list[AnalyzedImage]:
        """Analyze some photographs at once, on one core.

        For programs that share the work among threads of their own, one batch each; `analyze_many`
        does that by itself. It is done in the calling thread, or, if `load` was given `processes`,
        in a worker process once one is ready. A photograph that can't be used has `error` set.

        Args:
            embed, keep_crops, quality: see `analyze`.

        Raises:
            ModelError: a model can't be opened.
        """
        outputs = FaceOutputs(embed, quality, keep_crops)
        return self._stream_executor(len(sources) or 1).analyze_batch(sources, outputs)

    def analyze_groups(
        self, groups: Iterable[Sequence[ImageSource]], *, batch_size: int = 32
    ) -> Generator[AnalyzedImage, None, None]:
        """`analyze_many` over several lists; no batch holds photographs of two of them.

        So the embeddings of a list do not depend, to the last bit, on the lists before it. The next
        list begins while the last photographs of one are still being analyzed.
        """
        return self._stream_executor(batch_size).analyze_groups(groups, batch_size)

    def analyze_in_worker(
        self, group: Sequence[ImageSource], *, batch_size: int = 32
    ) -> Generator[AnalyzedImage, None, None]:
        """`analyze_groups` over one list in a worker process, for a list that killed a process.

        A photograph that kills the worker process comes out with `error` set.
        """
        return self._stream_executor(batch_size).analyze_in_worker(group, batch_size)

    def embed_crops(self, crops: Sequence[Image] | Image) -> list[Embedding]:
        """Embed (n, s, s, 3) crops that are aligned to the embedder's template."""
        return self.embedder.embed(crops)

    def _stream_executor(self, batch_size: int) -> StreamExecutor:
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}, not a positive whole number")
        with self._executor_lock:
            if self._executor is None:
                self._executor = StreamExecutor(self._batch)
            return self._executor


FacePrint = FaceAnalyzer
"""The former name of `FaceAnalyzer`."""


def load(  # noqa: PLR0913 - all but the first are keywords
    pack: str | None = None,
    *,
    detector: str | None = None,
    embedder: str | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    device: str | None = None,
    accept_license: bool = False,
    mirror: bool = False,
    processes: int | None = 1,
) -> FaceAnalyzer:
    """Choose the models: a pack by name, or a detector and an embedder.

    Args:
        pack: None for FACEPRINT_PACK, else `starter`, which ships inside the package.
        detector, embedder: card ids; each replaces its half of the pack.
        runtime: None for FACEPRINT_RUNTIME, else `onnxruntime`.
        threads: cores to use; None for all that the process may use.
        device: `cpu`, an accelerator as the runtime names it, or `auto` for the best that is here
            and agrees with the CPU (docs/accelerators.md). None for FACEPRINT_DEVICE, else `cpu`.
        accept_license: accept licenses that forbid commercial use, or are unclear.
        mirror: average each embedding with that of the mirror image.
        processes: number of processes that share long streams, at most one per thread. None for
            FACEPRINT_PROCESSES, else for as many as pay. Above 1 it needs ONNX Runtime.
            On sixteen cores one process does a third of what they can.

    Raises:
        UnknownModelError: no pack or card of that name.
        UsageError: a detector where an embedder belongs, or the other way round.
    """
    options = LoadOptions(
        runtime=runtime,
        threads=threads,
        device=choose_device(device, runtime),
        accept_license=accept_license,
        mirror=mirror,
        processes=processes,
    )
    return FaceAnalyzer(*resolve(pack, detector, embedder), options)
