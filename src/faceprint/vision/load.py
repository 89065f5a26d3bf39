"""From names to something that runs: packs and cards to detectors and embedders."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from faceprint import settings
from faceprint.errors import CardError, UsageError
from faceprint.runtime.session import RuntimeOptions, Session, open_session
from faceprint.types import Detections, Image
from faceprint.vision.detect.mtcnn import MtcnnDetector, MtcnnSettings
from faceprint.vision.detect.single_shot import SingleShotDetector
from faceprint.vision.embed import IN_CACHE, VectorEmbedder
from faceprint.vision.warp import Mipmaps
from faceprint.zoo import catalog, legacy, optimize, packs, store
from faceprint.zoo.card import ModelCard

__all__ = ["Detector", "LoadOptions", "load_detector", "load_embedder", "resolve"]

_THREADS_A_PROCESS = 2
"""With four each, sixteen cores do 15 % less on small photographs and 5 % less on large ones, with
one each no more (benchmarks/cores.py)."""

_MOST_THREADS = 8
"""Of one process: sixteen did a tenth to a quarter less than eight
(docs/decisions/0010-processes.md)."""


class Detector(Protocol):
    """Images in, faces out."""

    def detect(self, images: Sequence[Image | Mipmaps]) -> list[Detections]:
        """Faces of each image, best score first."""
        ...

    def required_scale(self, width: int, height: int) -> float:
        """The share of a photograph's sides, 0 to 1, that the search for faces needs."""
        ...


class LoadOptions:
    """How models are fetched and run.

    Args:
        runtime: one of `faceprint.runtime.session.RUNTIMES`; None for the default.
        threads: cores to use; None for as many as the process may use.
        device: `cpu` or an accelerator's name as the runtime knows it.
        accept_license: accept licenses that are not commercial, or unclear.
        mirror: average each embedding with its mirror image's.
        processes: that share the photographs of a stream; None for FACEPRINT_PROCESSES, else for
            as many as pay.
    """

    __slots__ = ("accept_license", "mirror", "processes", "runtime", "session")

    def __init__(
        self,
        *,
        runtime: str | None = None,
        threads: int | None = None,
        device: str = "cpu",
        accept_license: bool = False,
        mirror: bool = False,
        processes: int | None = 1,
    ) -> None:
        if processes is not None and processes < 1:
            raise UsageError(f"processes is {processes}, not a positive whole number")
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}, not a positive whole number")
        self.runtime = runtime
        self.session = RuntimeOptions(threads=threads, device=device)
        self.accept_license = accept_license
        self.mirror = mirror
        self.processes = processes
        if processes is not None and processes > 1 and not self.side_by_side:
            raise UsageError("several processes are for ONNX Runtime on a CPU")

    @property
    def side_by_side(self) -> bool:
        """Whether threads may share a session that has one thread: ONNX Runtime on a CPU alone."""
        runtime = self.runtime or settings.default_runtime()
        return runtime == "onnxruntime" and self.session.device == "cpu"

    def threads_by_process(self) -> list[int]:
        """The threads of each process that shares a stream's photographs.

        There is one process where threads can't share a session. No process has more threads than
        work faster than fewer, since Python's lock goes round among them.
        """
        threads = self.session.thread_count()
        wanted = self.processes or settings.processes() or max(1, threads // _THREADS_A_PROCESS)
        count = min(wanted, threads) if self.side_by_side else 1
        shares = [threads // count + (index < threads % count) for index in range(count)]
        return [min(share, _MOST_THREADS) for share in shares] if self.side_by_side else shares

    def with_threads(self, threads: int) -> LoadOptions:
        """The same with another number of threads a session."""
        other = copy(self)
        other.session = replace(self.session, threads=threads)
        return other


def resolve(
    pack: str | None, detector: str | None, embedder: str | None
) -> tuple[str, ModelCard, ModelCard]:
    """Names to (name, detector card, embedder card).

    A detector or an embedder replaces that half of the pack; the name then says both.

    Raises:
        UnknownModelError: no such pack or card.
        UsageError: a card of the other task.
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
        # Small calls side by side beat calls spread over threads: see detect/cascade_batching.py.
        threads = options.session.thread_count() if options.side_by_side else 1
        each = options.with_threads(1) if threads > 1 else options
        pnet, rnet, onet = (_open(card, files[role], each) for role in ("pnet", "rnet", "onet"))
        chosen = MtcnnSettings.from_options(card.options)
        return MtcnnDetector(pnet, rnet, onet, chosen, threads=threads)
    return SingleShotDetector(_open(card, files["model"], options), card)


def load_embedder(card: ModelCard, options: LoadOptions) -> VectorEmbedder:
    """Open an embedder's session.

    Raises:
        CardError: the card names no alignment, so nothing could feed it.
    """
    if card.alignment is None:
        raise CardError(f"{card.id}: an embedder's card needs an alignment template")
    files = store.ensure(card, accept_license=options.accept_license)
    session = _open(card, files["model"], options)
    if options.side_by_side and options.session.thread_count() == 1:
        return VectorEmbedder(session, card, mirror=options.mirror, batch=IN_CACHE)
    return VectorEmbedder(session, card, mirror=options.mirror)


def _open(card: ModelCard, path: Path, options: LoadOptions) -> Session:
    prepared = legacy.prepare(path, settings.home() / "prepared")
    if options.side_by_side:
        prepared = optimize.prepare(
            prepared,
            settings.home() / "prepared",
            lambda graph: open_session(graph, options=options.session, runtime="onnxruntime").run,
            threads=options.session.thread_count(),
        )
    # The packaged cards' graphs are known by their sha256, which the store has compared.
    known = card.origin == "packaged" and all(file.sha256 or file.bundled for file in card.files)
    return open_session(prepared, runtime=options.runtime, options=options.session, trusted=known)
