"""From a checkpoint to a graph and a card that the zoo accepts."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from faceprint._files import atomic_write
from faceprint._optional import require
from faceprint._text import counted
from faceprint.errors import CardError, DatasetError, UsageError
from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.calibrate_data import labeled_scores
from faceprint.evaluation.datasets import LabeledSet
from faceprint.evaluation.embeddings import EmbedOptions
from faceprint.runtime.session import Session, open_session
from faceprint.training.checkpoint import Checkpoint, read_checkpoint
from faceprint.training.crop_store import SIZE
from faceprint.training.distillation import (
    pruned_student,
)
from faceprint.training.finetune import Original, open_original, trainable, write_graph
from faceprint.training.live_embedder import INPUT, GivenEmbedder, NetworkSession
from faceprint.training.network_names import PRUNED
from faceprint.training.networks import build
from faceprint.training.run_file import RunFile
from faceprint.training.teacher import teacher_vectors
from faceprint.training.trained_card import Wanted, one_view, trained_card
from faceprint.training.unlabeled import refuse_known
from faceprint.types import Image
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.load import resolve
from faceprint.zoo import catalog, store
from faceprint.zoo.card import CardOperatingPoint, ModelCard
from faceprint.zoo.card_text import card_toml
from faceprint.zoo.golden import golden_values
from faceprint.zoo.lint import lint

__all__ = ["Export", "Wanted", "export", "to_onnx"]

_OPSET = 17
_AGREES = 1e-4
"""Largest difference of unit embeddings between PyTorch and ONNX Runtime."""

_CROPS = 64
"""Crops of the training data that both are compared on."""


@dataclass(frozen=True, slots=True)
class Export:
    """The result.

    Attributes:
        difference: largest difference of unit embeddings to PyTorch, on `crops` crops.
        lacking: what a contribution to the catalog still lacks, by `models lint`.
    """

    card: ModelCard
    file: Path
    card_file: Path
    difference: float
    crops: int
    lacking: tuple[str, ...]


def export(run: RunFile, out: Path, wanted: Wanted) -> Export:
    """Write the graph and its card beside it, and add both to the zoo of this machine.

    Nothing is written if the graph differs from PyTorch by more than 1e-4, or if lint finds an
    error.

    Args:
        run: its folder holds the checkpoint, its crop store the crops to compare on.
        out: the file to write, `.onnx`.

    Raises:
        MissingExtraError: the onnx package is not installed.
        UsageError: no checkpoint, or of another network.
        DatasetError: people to measure on who were trained on.
        CardError: the id is taken, or the graph is not as it should be.
    """
    require("onnx", extra="train")
    if wanted.card_id in catalog.card_ids() and not wanted.overwrite:
        raise CardError(f"there is a card {wanted.card_id} already; choose another id")
    checkpoint = read_checkpoint(run.out / "checkpoint.pt")
    original = _original(run)
    network = _network(run, checkpoint, original)
    if wanted.measure_on is not None:
        _refuse_known(wanted.measure_on, checkpoint.names)
        if run.distill is not None:
            refuse_known(wanted.measure_on, run.data.store)
    crops = _crops(run)
    with tempfile.TemporaryDirectory(prefix="faceprint-export-") as place:
        graph = Path(place) / out.name
        if original is None:
            to_onnx(network, graph)
        else:
            write_graph(original.file, network.graph.changed(), graph)
        session = open_session(graph, runtime="onnxruntime")
        card = trained_card(run, checkpoint, graph, wanted, original)
        difference = _difference(network, session, card, crops)
        if not difference <= _AGREES:
            raise CardError(
                f"{out.name}: ONNX Runtime differs from PyTorch by {difference:.1e} on "
                f"{len(crops)} crops, more than {_AGREES:g}"
            )
        card = replace(card, golden=golden_values(card, {"model": session.run}))
        if wanted.measure_on is not None:
            card = replace(card, operating_points=_points(run, card, session, wanted.measure_on))
        report = lint(graph, card=card, open_graph=lambda path: session.run)
        if not report.passed:
            texts = [f"{f.topic}: {f.text}" for f in report.findings if f.level == "error"]
            raise CardError(f"{out.name}: {'; '.join(texts)}")
        card_file = out.with_suffix(".toml")
        try:
            shutil.copyfile(graph, out)
            atomic_write(card_file, card_toml(card))
        except OSError as error:
            raise UsageError(f"{out.parent}: cannot be written ({error.strerror})") from error
    catalog.add_card(card_file, replace=wanted.overwrite)
    store.adopt(card, out.resolve().parent)
    return Export(card, out, card_file, difference, len(crops), report.lacking)


def to_onnx(network: nn.Module, path: Path) -> None:
    """Write a network as a graph of opset 17: `data` (n, 3, 112, 112) to `embedding` (n, dim)."""
    network.eval()
    with warnings.catch_warnings():
        # Tracing is deprecated, and warns of checked shapes; the other way needs two packages more.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, SIZE, SIZE),),
            str(path),
            opset_version=_OPSET,
            input_names=["data"],
            output_names=["embedding"],
            dynamic_axes={"data": {0: "batch"}, "embedding": {0: "batch"}},
            dynamo=False,
        )


def _original(run: RunFile) -> Original | None:
    """What the run began with, if it was a graph."""
    if run.finetune is not None:
        return open_original(run.finetune.model)
    return pruned_student(run) if run.network.name == PRUNED else None


def _network(run: RunFile, checkpoint: Checkpoint, original: Original | None) -> Any:
    net = run.network
    if original is None:
        network, name = build(net.name, dim=net.dim, width=net.width, dropout=net.dropout), net.name
    else:
        network, name = trainable(original, run.finetune), original.card.id
    try:
        network.load_state_dict(checkpoint.state["network"])
    except (KeyError, RuntimeError) as error:
        raise UsageError(f"{run.out / 'checkpoint.pt'}: not of the network {name}") from error
    return network.eval()


def _refuse_known(data: LabeledSet, names: Sequence[str]) -> None:
    known = sorted({*data.names} & {*names})
    if known:
        raise DatasetError(
            f"{data.name}: {counted(len(known), 'person was', 'people were')} trained on, such as "
            f"{known[0]}; operating points are measured on others"
        )


def _crops(run: RunFile) -> Image:
    """Crops of the store, evenly chosen."""
    path = run.data.store / "crops.u8"
    try:
        count = path.stat().st_size // (SIZE * SIZE * 3)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    if not count:
        raise DatasetError(f"{path}: holds no crop")
    crops = np.memmap(path, np.uint8, "r", shape=(count, SIZE, SIZE, 3))
    chosen = np.unique(np.linspace(0, count - 1, min(_CROPS, count)).round().astype(int))
    return np.array(crops[chosen])


def _difference(network: nn.Module, session: Session, card: ModelCard, crops: Image) -> float:
    """The largest difference of unit embeddings between both."""
    live = NetworkSession(network, torch.device("cpu"), card.dim or 0)
    ours = teacher_vectors(live, replace(card, input=INPUT), crops)
    return float(
        np.abs(ours - teacher_vectors(session, replace(card, input=one_view(card)), crops)).max()
    )


def _points(
    run: RunFile, card: ModelCard, session: Session, data: LabeledSet
) -> tuple[CardOperatingPoint, ...]:
    """Operating points with the run's detector; those that the data support."""
    detector = resolve(run.data.pack, run.data.detector, run.data.embedder)[1]
    analyzer = GivenEmbedder(detector, VectorEmbedder(session, card))
    scores, _ = labeled_scores(data, analyzer, EmbedOptions())
    found = calibrate({data.name: scores})
    source = f"measured on {data.name}, {len(data):,} photographs of {len(data.names):,} people"
    points = [
        replace(each.operating_point(f"fmr-{each.fmr:g}", source), evidence="measured")
        for each in found.points
    ]
    if not points:
        raise DatasetError(f"{data.name}: no operating point ({found.refused[0]})")
    return tuple(CardOperatingPoint(detector.id, point) for point in points)
