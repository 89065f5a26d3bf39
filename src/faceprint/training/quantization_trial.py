"""Quantize an embedder, compare it with the original, and keep it where it is worth it."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faceprint import settings
from faceprint._files import atomic_write
from faceprint.bulk.inputs import expand
from faceprint.errors import CardError, DatasetError, UsageError
from faceprint.evaluation.datasets import PairSet
from faceprint.evaluation.embeddings import EmbedOptions
from faceprint.evaluation.pairs import open_lfw
from faceprint.evaluation.verification import evaluate
from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.training.quantize import (
    Agreement,
    Decision,
    agreement,
    decide,
    int8_card,
    quantize,
)
from faceprint.types import Image
from faceprint.vision.analyzer import FaceAnalyzer, load
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.load import LoadOptions
from faceprint.vision.preprocess import to_blob
from faceprint.zoo import catalog, legacy, store
from faceprint.zoo.card import ModelCard, ModelFile
from faceprint.zoo.card_text import card_toml
from faceprint.zoo.interleaved_timing import time_in_turn

__all__ = ["Trial", "TrialOptions", "quantize_card", "run_trial"]

_ROWS = 8
_FEWEST = 8
"""Crops to calibrate on; fewer say nothing about the range of a tensor."""

Progress = Callable[[str], Callable[[int, int], None]]
"""Start a progress display of that name; call the result with how many are done, of how many."""


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """How to quantize, and what the int8 model must achieve.

    Attributes:
        photographs: to calibrate on.
        detector: a card's id; None for the default.
        threads: None for all available cores.
        limit: percentage points of accuracy that may be lost.
        min_speedup: times as fast as float32.
    """

    photographs: int = 128
    detector: str | None = None
    threads: int | None = None
    limit: float = 0.2
    min_speedup: float = 1.2


@dataclass(frozen=True, slots=True)
class Trial:
    """The int8 model and its comparison with the original.

    Attributes:
        file: the int8 graph.
        speed: float32_ms and int8_ms, medians for `rows` crops; rounds, threads.
        accuracy: of float32 and of int8 on `pairs` pairs; None without pairs.
    """

    card: ModelCard
    file: Path
    reduce_range: bool
    photographs: int
    speed: dict[str, Any]
    agreement: Agreement
    accuracy: tuple[float, float] | None
    pairs: int

    @property
    def ratio(self) -> float:
        """How many times as fast int8 is."""
        return float(self.speed["float32_ms"] / self.speed["int8_ms"])


class _WithEmbedder(FaceAnalyzer):
    """An analyzer whose embedder is not in the store."""

    def __init__(self, other: FaceAnalyzer, embedder: VectorEmbedder, options: LoadOptions) -> None:
        super().__init__(f"{other.name}, int8", other.detector_card, embedder.card, options)
        self._given = embedder

    @property
    def embedder(self) -> VectorEmbedder:
        return self._given


def quantize_card(
    card_id: str,
    new_id: str,
    out: Path,
    folder: Path,
    pairs_file: Path | None,
    *,
    options: TrialOptions,
    progress: Progress | None = None,
) -> tuple[Trial, Decision, Path | None]:
    """Quantize an embedder, and keep the graph and its card where it is worth it.

    A kept model is added to the catalog and the store.

    Args:
        out: the new graph; its card is written beside it.

    Returns:
        The trial, the decision, and the path of the card; None where nothing was kept.

    Raises:
        UsageError: the folder of `out` can't be written; otherwise as `run_trial`.
    """
    with tempfile.TemporaryDirectory(prefix="faceprint-int8-") as place:
        target = Path(place) / out.name
        trial = run_trial(
            card_id, new_id, target, folder, pairs_file, options=options, progress=progress
        )
        decision = decide(
            trial.ratio, trial.accuracy, limit=options.limit, min_speedup=options.min_speedup
        )
        if not decision.kept:
            return trial, decision, None
        card_path = out.with_suffix(".toml")
        try:
            shutil.copyfile(trial.file, out)
            atomic_write(card_path, card_toml(trial.card))
        except OSError as error:
            raise UsageError(f"{out.parent}: cannot be written ({error.strerror})") from error
    catalog.add_card(card_path, replace=True)
    store.adopt(trial.card, out.resolve().parent)
    return trial, decision, card_path


def run_trial(
    card_id: str,
    new_id: str,
    target: Path,
    folder: Path,
    pairs_file: Path | None,
    *,
    options: TrialOptions,
    progress: Progress | None = None,
) -> Trial:
    """Quantize an embedder, and measure its speed, agreement and accuracy.

    Args:
        target: the file to write.
        folder: photographs of faces.
        pairs_file: pairs over them; None leaves the accuracy unmeasured.
        progress: shows how many photographs of the pairs are embedded.

    Raises:
        UsageError: the model has several files, or is no embedder.
        DatasetError: too few faces, or a broken list of pairs.
        ModelError: a model can't be loaded or quantized.
    """
    fp = load(
        detector=options.detector,
        embedder=card_id,
        runtime="onnxruntime",
        threads=options.threads,
    )
    card = fp.embedder_card
    if len(card.files) != 1:
        raise UsageError(f"{card.id} has {len(card.files)} files; only single graphs are quantized")
    source = legacy.prepare(store.ensure(card)["model"], settings.home() / "prepared")
    pairs = None if pairs_file is None else open_lfw(folder, pairs_file)
    names = _choose_photographs(folder, pairs, options.photographs)
    crops = _crops(fp, names, folder)
    batches = (to_blob(crops[i : i + _ROWS], card.input) for i in range(0, len(crops), _ROWS))
    reduce_range = quantize(source, target, batches)
    file = ModelFile(target.name, store.file_sha256(target), target.stat().st_size)
    chosen = RuntimeOptions(threads=options.threads)
    session = open_session(target, runtime="onnxruntime", options=chosen)
    int8 = VectorEmbedder(session, int8_card(card, new_id, file))
    accuracy = None
    if pairs is not None:
        same = LoadOptions(runtime="onnxruntime", threads=options.threads)
        other = _WithEmbedder(fp, int8, same)
        accuracy = _accuracy(pairs, fp, progress), _accuracy(pairs, other, progress)
    return Trial(
        card=int8.card,
        file=target,
        reduce_range=reduce_range,
        photographs=len(names),
        speed=_speed(fp.embedder, int8, crops[:_ROWS]) | {"threads": chosen.thread_count()},
        agreement=agreement(fp.embedder.raw(crops), int8.raw(crops)),
        accuracy=accuracy,
        pairs=0 if pairs is None else len(pairs),
    )


def _choose_photographs(folder: Path, pairs: PairSet | None, count: int) -> list[str]:
    """Choose photographs evenly from the folder, and outside the pairs if there are enough."""
    everything = sorted(expand([str(folder)]))
    judged = set() if pairs is None else {str(p.source) for p in pairs.pictures}
    fresh = [name for name in everything if name not in judged]
    names = fresh if len(fresh) >= count else everything
    picked = np.unique(np.linspace(0, len(names) - 1, min(count, len(names))).round())
    return [names[int(i)] for i in picked]


def _crops(fp: FaceAnalyzer, names: list[str], folder: Path) -> Image:
    analyzed = fp.analyze_many(names, embed=False, keep_crops=True)
    found = [item.faces[0].crop for item in analyzed if item.error is None and item.faces]
    crops = [crop for crop in found if crop is not None]
    if len(crops) < _FEWEST:
        raise DatasetError(
            f"{folder}: faces in {len(crops)} of {len(names)} photographs; calibration needs at "
            f"least {_FEWEST}"
        )
    return np.stack(crops)


def _speed(before: VectorEmbedder, after: VectorEmbedder, crops: Image) -> dict[str, Any]:
    sides = {"float32": lambda: before.raw(crops), "int8": lambda: after.raw(crops)}
    times = time_in_turn(sides, rounds=25, budget=6.0)
    return {
        "float32_ms": statistics.median(times["float32"]) * 1e3,
        "int8_ms": statistics.median(times["int8"]) * 1e3,
        "rows": len(crops),
        "rounds": len(times["int8"]),
    }


def _accuracy(pairs: PairSet, analyzer: FaceAnalyzer, progress: Progress | None) -> float:
    options, show = EmbedOptions(face="central"), progress("pictures") if progress else None
    accuracy = evaluate("lfw", pairs, analyzer, options=options, progress=show).result.accuracy
    if accuracy is None:
        raise CardError(f"{analyzer.name}: the pairs gave no accuracy")
    return accuracy
