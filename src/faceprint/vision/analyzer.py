"""The one engine: photographs in, faces with embeddings out, batched across photographs."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np

from faceprint import _forks, settings
from faceprint.errors import NotFiniteError, UsageError
from faceprint.types import AnalyzedImage, Detections, Embedding, Face, Image
from faceprint.vision.align import transforms_of
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.images import ImageSource
from faceprint.vision.load import (
    Detector,
    LoadOptions,
    load_detector,
    load_embedder,
    resolve,
)
from faceprint.vision.photos import FAILURES, FaceOutputs, Photo, batches, faces_of, largest_first
from faceprint.vision.quality import Grader
from faceprint.vision.streaming.executor import StreamExecutor
from faceprint.vision.streaming.worker import WorkerSetup
from faceprint.zoo.card import Alignment, ModelCard

__all__ = ["FaceAnalyzer", "FacePrint", "load"]


class FaceAnalyzer:
    """A detector and an embedder; sessions open on first need, anew in a forked child. Thread-safe.

    Pickled, it is its cards and options.
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
        self._options = options or LoadOptions()
        self._begin()
        _forks.drop_in_children(self)

    def _begin(self) -> None:
        """Nothing is open yet."""
        self._detector_lock, self._embedder_lock = threading.Lock(), threading.Lock()
        self._detector: Detector | None = None
        self._embedder: VectorEmbedder | None = None
        self._crew: StreamExecutor | None = None
        self._crew_lock = threading.Lock()
        self._grader = Grader(self.embedder_card, mirrored=self.mirror)

    def after_fork(self) -> None:
        """Called in a forked child, where the sessions have lost their threads: open new ones."""
        _forks.abandon(self._detector, self._embedder, self._crew)
        self._begin()

    def __reduce__(self) -> tuple[object, ...]:
        return FaceAnalyzer, (self.name, self.detector_card, self.embedder_card, self._options)

    @property
    def detector(self) -> Detector:
        """The detector, opened on first need."""
        with self._detector_lock:
            if self._detector is None:
                self._detector = load_detector(self.detector_card, self._options)
            return self._detector

    @property
    def embedder(self) -> VectorEmbedder:
        """The embedder, opened on first need."""
        with self._embedder_lock:
            if self._embedder is None:
                self._embedder = load_embedder(self.embedder_card, self._options)
            return self._embedder

    @property
    def runtime(self) -> str:
        """The runtime that runs both models, as `onnxruntime` or `onnxruntime:cuda`."""
        name = self._options.runtime or settings.default_runtime()
        device = self._options.session.device
        return name if device == "cpu" else f"{name}:{device}"

    @property
    def mirror(self) -> bool:
        """Whether mirror images are averaged in that the embedder's card does not ask for."""
        return self._options.mirror and not self.embedder_card.input.mirrored

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
            embed: False leaves `Face.embedding` None and the embedder unopened.
            keep_crops: keep the aligned crop on every face.
            quality: False leaves `Face.quality` None; without `embed` and `keep_crops` no crop is
                cut then, and a large photograph with small faces need not be decoded anew for it.

        Raises:
            DecodeError: the photograph can't be used.
        """
        wanted = FaceOutputs(embed, quality, keep_crops)
        (result,) = self._analyze([Photo.open(source, self._required_scale)], wanted)
        if result.error is not None:
            raise result.error
        return result.faces

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

        Workers, one a core, each decode, detect and embed a batch of photographs; where `load` was
        given `processes`, long streams are shared among so many. A photograph that can't
        be used comes out with `error` set, and the stream goes on. Memory is bounded by a batch a
        worker, however long the stream; a batch holds 16 megapixels at most. What `embed`,
        `keep_crops` and `quality` ask for, `analyze` says.

        Raises:
            UsageError: `batch_size` below 1.
            ModelError: the models can't be loaded; a stream can't go on without them.
        """
        wanted = FaceOutputs(embed, quality, keep_crops)
        return self._crew_for(batch_size).many(sources, batch_size, wanted)

    def open(self) -> None:
        """Open both models now, at once: what the first photograph would otherwise wait for."""
        with ThreadPoolExecutor(1, thread_name_prefix="faceprint-open") as pool:
            embedder = pool.submit(lambda: self.embedder)
            _ = self.detector
            embedder.result()

    def embed_crops(self, crops: Sequence[Image] | Image) -> list[Embedding]:
        """Embed crops that are already aligned to the embedder's template."""
        return self.embedder.embed(crops)

    def analyze_parts(
        self, parts: Iterable[Sequence[ImageSource]], *, batch_size: int = 32
    ) -> Generator[AnalyzedImage, None, None]:
        """`analyze_many` over one list after another, of which none shares a batch with the next.

        So what comes of a list does not depend, to the last bit, on those before it. The next list
        is begun while the last photographs of one are worked on.
        """
        return self._crew_for(batch_size).parts(parts, batch_size)

    def analyze_apart(
        self, part: Sequence[ImageSource], *, batch_size: int = 32
    ) -> Generator[AnalyzedImage, None, None]:
        """`analyze_parts` over one list, in another process: for a list of which one has died.

        A photograph that kills that process, too, comes out with `error` set.
        """
        return self._crew_for(batch_size).apart(part, batch_size)

    def analyze_chunk(
        self,
        chunk: Sequence[ImageSource],
        wanted: FaceOutputs,
        *,
        turn: AbstractContextManager[object] | None = None,
    ) -> list[AnalyzedImage]:
        """One list of photographs on these very sessions: what a worker of a stream does.

        Args:
            turn: held while the networks work, and not while photographs are decoded.
        """
        results: list[AnalyzedImage] = []
        for photos in batches(chunk, self._required_scale):
            with turn or nullcontext():
                results += self._analyze(photos, wanted)
        return results

    def _crew_for(self, batch_size: int) -> StreamExecutor:
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}, not a positive whole number")
        with self._crew_lock:
            if self._crew is None:
                cards = self.name, self.detector_card, self.embedder_card
                setup = WorkerSetup(*cards, self._options)
                self._crew = StreamExecutor(
                    self, lambda options: FaceAnalyzer(*cards, options), setup
                )
            return self._crew

    def _analyze(self, photos: Sequence[Photo], wanted: FaceOutputs) -> list[AnalyzedImage]:
        """Faces of each photograph, or why it can't be used; their pixels are let go on the way."""
        good = [photo for photo in photos if photo.mips]
        alignment = self.embedder_card.alignment
        faces: list[list[Face]] = [[] for _ in good]
        if good and alignment is not None:
            faces = self._faces(good, alignment, wanted)
        for photo, found in zip(good, faces, strict=True):
            photo.faces = found
        return [photo.outcome() for photo in photos]

    def _faces(
        self, photos: Sequence[Photo], alignment: Alignment, wanted: FaceOutputs
    ) -> list[list[Face]]:
        if wanted.embed and self._embedder is None:
            self.open()
        found = [largest_first(detections) for detections in self._detect(photos)]
        if not any(wanted):
            for photo in photos:
                photo.mips = None
            return [faces_of(detections) for detections in found]
        transforms = transforms_of(found, alignment)
        crops = [
            photo.cut(which, alignment.size)
            for photo, which in zip(photos, transforms, strict=True)
        ]
        embeddings: Iterator[Embedding | None] = iter(())
        if wanted.embed:
            embeddings = iter(self.embedder.embed_each(np.concatenate(crops)))
        results = []
        for photo, detections, chips in zip(photos, found, crops, strict=True):
            faces = []
            for face, chip in zip(faces_of(detections), chips, strict=False):
                vector = next(embeddings) if wanted.embed else None
                grade = self._grader.quality(face, chip, vector) if wanted.quality else None
                crop = chip if wanted.keep_crops else None
                faces.append(replace(face, quality=grade, embedding=vector, crop=crop))
            if wanted.embed and any(face.embedding is None for face in faces):
                photo.fail(NotFiniteError(f"{self.embedder_card.id} gave NaN or infinity"))
            results.append(faces)
        return results

    def _detect(self, photos: Sequence[Photo]) -> list[Detections]:
        try:
            return self.detector.detect([photo.mips for photo in photos if photo.mips])
        except FAILURES as error:
            if len(photos) == 1:
                photos[0].fail(error)
                return [Detections.empty()]
            # It is one of them that can't be used; which, only one by one can tell.
            return [found for photo in photos for found in self._detect([photo])]

    def _required_scale(self, width: int, height: int) -> float:
        # Asked for when a photograph has been opened: one that can't be, says so before any model.
        return self.detector.required_scale(width, height)


FacePrint = FaceAnalyzer
"""The former name, kept for code that was written with it."""


def load(  # noqa: PLR0913 - the front door: all but the first by name
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
    """Choose models: a pack by name, or a detector and an embedder.

    Args:
        pack: None for FACEPRINT_PACK, else `starter`, which ships inside the package.
        detector, embedder: card ids; each replaces its half of the pack.
        device: `cpu` or an accelerator; None for FACEPRINT_DEVICE, else `cpu`.
        processes: that share the photographs of long streams, at most one a thread; None for
            FACEPRINT_PROCESSES, else for as many as pay. On sixteen cores one alone does a
            third of what they can. Above 1 they need ONNX Runtime on a CPU.

    Raises:
        UnknownModelError: no pack or card of that name.
        UsageError: a detector where an embedder belongs, or the other way round.
    """
    options = LoadOptions(
        runtime=runtime,
        threads=threads,
        device=device or settings.default_device(),
        accept_license=accept_license,
        mirror=mirror,
        processes=processes,
    )
    return FaceAnalyzer(*resolve(pack, detector, embedder), options)
