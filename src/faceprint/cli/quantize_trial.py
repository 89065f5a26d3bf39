"""The work behind `faceprint models quantize`: make the int8 model, time it, measure what it costs.

It lies with the commands since it brings training and evaluation together, which know nothing of
each other.
"""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint._files import atomic_write
from faceprint.errors import CardError, DatasetError, UsageError
from faceprint.types import Image
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.load import LoadOptions
from faceprint.zoo.card import ModelCard

if TYPE_CHECKING:
    from faceprint.evaluation.datasets import PairSet
    from faceprint.training.quantize import Agreement

__all__ = ["Trial", "run", "take"]

_ROWS = 8
_FEWEST = 8
"""Crops to calibrate on; fewer say nothing about the range of a tensor."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was made and measured.

    Attributes:
        file: the int8 graph, in a place that goes away.
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
    """An analyzer whose embedder is not in the store (yet)."""

    def __init__(self, other: FaceAnalyzer, embedder: VectorEmbedder, options: LoadOptions) -> None:
        super().__init__(f"{other.name}, int8", other.detector_card, embedder.card, options)
        self._given = embedder

    @property
    def embedder(self) -> VectorEmbedder:
        return self._given


def run(
    card_id: str,
    target: Path,
    folder: Path,
    listed: Path | None,
    *,
    new_id: str,
    photographs: int,
    detector: str | None,
    threads: int | None,
) -> Trial:
    """Quantize, time and measure.

    Args:
        target: the file to write.
        folder: of photographs.
        listed: the pairs over them; None leaves the accuracy unmeasured.

    Raises:
        UsageError: no embedder of one file.
        DatasetError: too few faces, or a list of pairs that does not hold together.
        ModelError: a model that can't be loaded, or not be quantized.
    """
    from faceprint import settings
    from faceprint.evaluation.pairs import open_lfw
    from faceprint.runtime.session import RuntimeOptions, open_session
    from faceprint.training.quantize import agreement, int8_card, quantize
    from faceprint.vision.analyzer import load
    from faceprint.vision.preprocess import to_blob
    from faceprint.zoo import legacy, store
    from faceprint.zoo.card import ModelFile

    fp = load(detector=detector, embedder=card_id, runtime="onnxruntime", threads=threads)
    card = fp.embedder_card
    if len(card.files) != 1:
        raise UsageError(f"{card.id} has {len(card.files)} files; a graph of its own is quantized")
    source = legacy.prepare(store.ensure(card)["model"], settings.home() / "prepared")
    pairs = None if listed is None else open_lfw(folder, listed)
    names = _photographs(folder, pairs, photographs)
    crops = _crops(fp, names, folder)
    batches = (to_blob(crops[i : i + _ROWS], card.input) for i in range(0, len(crops), _ROWS))
    narrow = quantize(source, target, batches)
    sha256 = store.file_sha256(target)
    new = int8_card(card, new_id, ModelFile(target.name, sha256, target.stat().st_size))
    chosen = RuntimeOptions(threads=threads)
    session = open_session(target, runtime="onnxruntime", options=chosen)
    int8 = VectorEmbedder(session, new)
    result = agreement(fp.embedder.raw(crops), int8.raw(crops))
    speed = _speed(fp.embedder, int8, crops[:_ROWS]) | {"threads": chosen.thread_count()}
    same = LoadOptions(runtime="onnxruntime", threads=threads)
    accuracy = None if pairs is None else _accuracies(pairs, fp, _WithEmbedder(fp, int8, same))
    pair_count = 0 if pairs is None else len(pairs)
    return Trial(new, target, narrow, len(names), speed, result, accuracy, pair_count)


def take(trial: Trial, out: Path) -> Path:
    """Keep the graph and its card, and add both to the catalog and the store.

    Returns:
        The card's path beside the graph.

    Raises:
        UsageError: the folder can't be written.
        CardError: the catalog refuses the card.
    """
    from faceprint.zoo import catalog, store
    from faceprint.zoo.card_text import card_toml

    card_path = out.with_suffix(".toml")
    try:
        shutil.copyfile(trial.file, out)
        atomic_write(card_path, card_toml(trial.card))
    except OSError as error:
        raise UsageError(f"{out.parent}: cannot be written ({error.strerror})") from error
    catalog.add_card(card_path, replace=True)
    store.adopt(trial.card, out.resolve().parent)
    return card_path


def _photographs(folder: Path, pairs: PairSet | None, count: int) -> list[str]:
    """Photographs spread evenly over the folder, those that no pair is judged on first."""
    from faceprint.bulk.inputs import expand

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
            f"{folder}: faces in {len(crops)} of {len(names)} photographs; at least {_FEWEST} are "
            "needed to calibrate on"
        )
    return np.stack(crops)


def _speed(before: VectorEmbedder, after: VectorEmbedder, crops: Image) -> dict[str, Any]:
    from faceprint.zoo.interleaved_timing import rotate

    sides = {"float32": lambda: before.raw(crops), "int8": lambda: after.raw(crops)}
    times = rotate(sides, rounds=25, budget=6.0)
    return {
        "float32_ms": statistics.median(times["float32"]) * 1e3,
        "int8_ms": statistics.median(times["int8"]) * 1e3,
        "rows": len(crops),
        "rounds": len(times["int8"]),
    }


def _accuracies(pairs: PairSet, before: FaceAnalyzer, after: FaceAnalyzer) -> tuple[float, float]:
    from faceprint.cli.progress import progress
    from faceprint.evaluation.embeddings import EmbedOptions
    from faceprint.evaluation.verification import evaluate

    found = []
    for analyzer in (before, after):
        outcome = evaluate(
            "lfw",
            pairs,
            analyzer,
            options=EmbedOptions(face="central"),
            progress=progress("pictures"),
        )
        if outcome.result.accuracy is None:
            raise CardError(f"{analyzer.name}: the pairs gave no accuracy")
        found.append(outcome.result.accuracy)
    return found[0], found[1]
