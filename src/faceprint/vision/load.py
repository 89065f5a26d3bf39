"""Load models: from the names of packs and cards to detectors and embedders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from faceprint import settings
from faceprint.errors import CardError, UsageError
from faceprint.runtime.session import RuntimeOptions, Session, open_session
from faceprint.types import Detections, Image
from faceprint.vision.detect.mtcnn import MtcnnDetector, MtcnnSettings
from faceprint.vision.detect.single_shot import SingleShotDetector
from faceprint.vision.embed import IN_CACHE, ON_ACCELERATOR, VectorEmbedder
from faceprint.vision.mipmaps import Mipmaps
from faceprint.zoo import catalog, legacy, optimize, packs, store
from faceprint.zoo.card import ModelCard

__all__ = ["Detector", "LoadOptions", "load_detector", "load_embedder", "resolve"]

_THREADS_PER_PROCESS = 2
"""With four, sixteen cores do 15 % less on small photographs and 5 % less on large ones; with one
they do no more (benchmarks/cores.py)."""

_MAX_THREADS = 8
"""Threads per process: sixteen did a tenth to a quarter less than eight
(docs/decisions/0010-processes.md)."""


class Detector(Protocol):
    """Finds faces in images."""

    def detect(self, images: Sequence[Image | Mipmaps]) -> list[Detections]:
        """Faces of each image, best score first."""
        ...

    def required_scale(self, width: int, height: int) -> float:
        """The share of a photograph's sides, 0 to 1, that detection needs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How models are fetched and run.

    Attributes:
        runtime: one of `faceprint.runtime.session.RUNTIMES`; None for the default.
        threads: cores to use; None for all that the process may use.
        device: `cpu`, or an accelerator's name as the runtime knows it; not `auto`, which
            `choose_device` resolves.
        accept_license: accept licenses that forbid commercial use, or are unclear.
        mirror: average each embedding with that of the mirror image.
        processes: number of processes that share a stream; None for FACEPRINT_PROCESSES, else for
            as many as pay.

    Raises:
        UsageError: `threads` or `processes` below 1, or several processes where only one can run.
    """

    runtime: str | None = None
    threads: int | None = None
    device: str = "cpu"
    accept_license: bool = False
    mirror: bool = False
    processes: int | None = 1

    def __post_init__(self) -> None:
        for name, number in (("processes", self.processes), ("threads", self.threads)):
            if number is not None and number < 1:
                raise UsageError(f"{name} is {number}, not a positive whole number")
        if self.processes is not None and self.processes > 1 and not self._on_onnxruntime:
            raise UsageError("several processes are for ONNX Runtime on a CPU or accelerator")

    @property
    def session(self) -> RuntimeOptions:
        """The options of each session."""
        return RuntimeOptions(threads=self.threads, device=self.device)

    @property
    def can_share_sessions(self) -> bool:
        """Whether threads can share sessions of one thread: only with ONNX Runtime on a CPU."""
        return self._on_onnxruntime and not self.on_accelerator

    @property
    def on_accelerator(self) -> bool:
        """Whether the networks run elsewhere than on this process's threads."""
        return self.device != "cpu"

    @property
    def _on_onnxruntime(self) -> bool:
        return (self.runtime or settings.default_runtime()) == "onnxruntime"

    def threads_by_process(self) -> list[int]:
        """The number of threads of each process that shares a stream.

        There is one process where threads can't share sessions, and with an accelerator unless
        more are asked for. A process gets no more threads than Python's lock allows to be useful.
        """
        threads = self.session.thread_count()
        if not self._on_onnxruntime:
            return [threads]
        usual = 1 if self.on_accelerator else max(1, threads // _THREADS_PER_PROCESS)
        processes = self.processes or settings.processes() or usual
        count = min(processes, threads)
        shares = [threads // count + (index < threads % count) for index in range(count)]
        return [min(share, _MAX_THREADS) for share in shares]

    def with_threads(self, threads: int) -> LoadOptions:
        """The same options with another number of threads per session."""
        return replace(self, threads=threads)


def resolve(
    pack: str | None, detector: str | None, embedder: str | None
) -> tuple[str, ModelCard, ModelCard]:
    """The name, detector card and embedder card of a pack.

    A detector or an embedder replaces its half of the pack; the name then holds both ids.

    Raises:
        UnknownModelError: no such pack or card.
        UsageError: a card of another task.
    """
    chosen = packs.get_pack(pack or settings.default_pack())
    detector_card = catalog.get_card(detector or chosen.detector)
    embedder_card = catalog.get_card(embedder or chosen.embedder)
    for card, task in ((detector_card, "detect"), (embedder_card, "embed")):
        if card.task != task:
            raise UsageError(f"{card.id} is a model for '{card.task}', not for '{task}'")
    plain = (detector_card.id, embedder_card.id) == (chosen.detector, chosen.embedder)
    name = chosen.name if plain else f"{detector_card.id}+{embedder_card.id}"
    return name, detector_card, embedder_card


def load_detector(card: ModelCard, options: LoadOptions) -> Detector:
    """Open a detector's sessions."""
    files = store.ensure(card, accept_license=options.accept_license)
    if card.decoder == "mtcnn":
        # Small calls in parallel beat calls spread over threads: see detect/cascade_batching.py.
        threads = options.session.thread_count() if options.can_share_sessions else 1
        each = options.with_threads(1) if threads > 1 else options
        pnet, rnet, onet = (_open(card, files[role], each) for role in ("pnet", "rnet", "onet"))
        chosen = MtcnnSettings.from_options(card.options)
        return MtcnnDetector(pnet, rnet, onet, chosen, threads=threads)
    return SingleShotDetector(_open(card, files["model"], options), card)


def load_embedder(card: ModelCard, options: LoadOptions) -> VectorEmbedder:
    """Open an embedder's session.

    Raises:
        CardError: the card names no alignment template.
    """
    if card.alignment is None:
        raise CardError(f"{card.id}: an embedder's card needs an alignment template")
    files = store.ensure(card, accept_license=options.accept_license)
    session = _open(card, files["model"], options)
    if options.on_accelerator:
        return VectorEmbedder(session, card, mirror=options.mirror, batch=ON_ACCELERATOR)
    if options.can_share_sessions and options.session.thread_count() == 1:
        return VectorEmbedder(session, card, mirror=options.mirror, batch=IN_CACHE)
    return VectorEmbedder(session, card, mirror=options.mirror)


def _open(card: ModelCard, path: Path, options: LoadOptions) -> Session:
    prepared = legacy.prepare(path, settings.home() / "prepared")
    if options.can_share_sessions:
        prepared = optimize.prepare(
            prepared,
            settings.home() / "prepared",
            lambda graph: open_session(graph, options=options.session, runtime="onnxruntime").run,
            threads=options.session.thread_count(),
        )
    # The packaged cards' graphs are known by their sha256, which the store has compared.
    known = card.origin == "packaged" and all(file.sha256 or file.bundled for file in card.files)
    return open_session(prepared, runtime=options.runtime, options=options.session, trusted=known)
