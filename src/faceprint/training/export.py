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
from faceprint.errors import CardError, DatasetError, UsageError
from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.calibrate_data import labeled_scores
from faceprint.evaluation.datasets import LabeledSet
from faceprint.evaluation.embeddings import EmbedOptions
from faceprint.runtime.session import Session, open_session
from faceprint.training.checkpoint import Checkpoint, read_checkpoint
from faceprint.training.crop_build import ALIGNMENT
from faceprint.training.crop_store import SIZE
from faceprint.training.distillation import PAPERS, inherited, own_data, teacher_of
from faceprint.training.finetune import Original, open_original, trainable, write_graph
from faceprint.training.finetune_table import AIM_NAMES
from faceprint.training.live_embedder import INPUT, GivenEmbedder, NetworkSession
from faceprint.training.networks import build
from faceprint.training.run_file import RunFile
from faceprint.training.teacher import teacher_vectors
from faceprint.training.unlabeled import refuse_known
from faceprint.types import Image
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.load import resolve
from faceprint.zoo import catalog, store
from faceprint.zoo.card import CardOperatingPoint, InputContract, License, ModelCard, ModelFile
from faceprint.zoo.card_text import card_toml
from faceprint.zoo.golden import golden_values
from faceprint.zoo.lint import lint

__all__ = ["Export", "Wanted", "export", "to_onnx"]

_OPSET = 17
_AGREES = 1e-4
"""Largest difference of unit embeddings between PyTorch and ONNX Runtime."""

_CROPS = 64
"""Crops of the training data that both are compared on."""

_PAPERS = {
    "arcface": "https://arxiv.org/abs/1801.07698",
    "cosface": "https://arxiv.org/abs/1801.09414",
    "adaface": "https://arxiv.org/abs/2204.00964",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an export is called, and what its card says.

    Attributes:
        card_id: of the new card.
        license: of the weights, which is the user's to say.
        measure_on: photographs of people to measure operating points on, with the run's detector;
            nobody of the training data.
        overwrite: the file and the card of that id.
    """

    card_id: str
    license: License
    measure_on: LabeledSet | None = None
    overwrite: bool = False


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
    original = None if run.finetune is None else open_original(run.finetune.model)
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
        if original is None:
            card = _card(run, checkpoint, graph, wanted)
        else:
            card = _derived(run, checkpoint, graph, wanted, original.card)
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


def _network(run: RunFile, checkpoint: Checkpoint, original: Original | None) -> Any:
    net = run.network
    if original is None or run.finetune is None:
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
            f"{data.name}: {len(known)} people were trained on, such as {known[0]}; operating "
            "points are measured on others"
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
        np.abs(ours - teacher_vectors(session, replace(card, input=_plain(card)), crops)).max()
    )


def _plain(card: ModelCard) -> InputContract:
    """The card's input without further views of a face."""
    return replace(card.input, mirror=False, crops=1)


def _card(run: RunFile, checkpoint: Checkpoint, graph: Path, wanted: Wanted) -> ModelCard:
    facts = checkpoint.facts
    begun = f", starting from {run.network.initial.name}" if run.network.initial else ""
    width = "" if run.network.width == 1 else f" of width {run.network.width:g}"
    data = f"{run.data.folder.name}: {facts['photographs']:,}"
    if run.distill is None:
        learned, license_, paper = run.loss.name, wanted.license, _PAPERS[run.loss.name]
        data += f" photographs of {len(checkpoint.names):,} people"
    else:
        teacher = teacher_of(run)
        learned, license_ = f"distilled from {teacher.id}", inherited(wanted.license, teacher)
        paper = PAPERS[run.distill.relational > 0]
        data += f" faces without names, as {teacher.id} embeds them{own_data(teacher)}"
    return ModelCard(
        id=wanted.card_id,
        task="embed",
        decoder="vector",
        title=f"{run.network.name}{width}, {learned}",
        description=f"Trained by `faceprint train`: {checkpoint.state['update']:,} updates{begun}.",
        files=(ModelFile(graph.name, store.file_sha256(graph), graph.stat().st_size),),
        license=license_,
        input=INPUT,
        dim=run.network.dim,
        alignment=ALIGNMENT,
        training_data=data,
        paper=paper,
    )


def _derived(
    run: RunFile, checkpoint: Checkpoint, graph: Path, wanted: Wanted, original: ModelCard
) -> ModelCard:
    """The original's card without what was measured on it, under the stricter of both licenses."""
    chosen, facts = run.finetune, checkpoint.facts
    assert chosen is not None
    own, theirs = wanted.license, original.license
    allowed, weights = own.stricter_use(theirs), theirs.weights
    if own.weights != weights:
        weights = f"{weights}; the changes: {own.weights}"
    note = f"Made from {original.id}, whose license applies to this model too. {theirs.note}"
    return replace(
        original,
        id=wanted.card_id,
        title=f"{original.title}, fine-tuned",
        description=f"{original.id} fine-tuned by `faceprint train finetune` ({chosen.layers}, for "
        f"{AIM_NAMES[chosen.aim]}): {checkpoint.state['update']:,} updates.",
        files=(ModelFile(graph.name, store.file_sha256(graph), graph.stat().st_size),),
        license=replace(theirs, weights=weights, commercial_use=allowed, note=note.strip()),
        training_data=f"{original.training_data or f'that of {original.id}'}; fine-tuned on "
        f"{run.data.folder.name}: {facts['photographs']:,} photographs of "
        f"{len(checkpoint.names):,} people",
        published=(),
        operating_points=(),
        golden=(),
        quality=None,
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
