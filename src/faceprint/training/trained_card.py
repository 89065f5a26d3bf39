"""The card of a model that was trained, tuned or distilled here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from faceprint.evaluation.datasets import LabeledSet
from faceprint.training.checkpoint import Checkpoint
from faceprint.training.crop_build import ALIGNMENT
from faceprint.training.distillation import PAPERS, inherited, own_data, teacher_of
from faceprint.training.finetune import Original
from faceprint.training.finetune_table import AIM_NAMES
from faceprint.training.live_embedder import INPUT
from faceprint.training.run_file import RunFile
from faceprint.zoo import store
from faceprint.zoo.card import InputContract, License, ModelCard, ModelFile

__all__ = ["Wanted", "one_view", "trained_card"]

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


def trained_card(
    run: RunFile, checkpoint: Checkpoint, graph: Path, wanted: Wanted, original: Original | None
) -> ModelCard:
    """The card of a trained graph, without golden values and operating points.

    Args:
        graph: the file.
        original: what the run began with, if it was a graph.
    """
    if original is not None and run.finetune is not None:
        return _derived(run, checkpoint, graph, wanted, original.card)
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
        if original is not None:
            license_ = _changed(teacher, wanted.license)
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
        input=INPUT if original is None else one_view(original.card),
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
    return replace(
        original,
        id=wanted.card_id,
        title=f"{original.title}, fine-tuned",
        description=f"{original.id} fine-tuned by `faceprint train finetune` ({chosen.layers}, for "
        f"{AIM_NAMES[chosen.aim]}): {checkpoint.state['update']:,} updates.",
        files=(ModelFile(graph.name, store.file_sha256(graph), graph.stat().st_size),),
        license=_changed(original, wanted.license),
        training_data=f"{original.training_data or f'that of {original.id}'}; fine-tuned on "
        f"{run.data.folder.name}: {facts['photographs']:,} photographs of "
        f"{len(checkpoint.names):,} people",
        published=(),
        operating_points=(),
        golden=(),
        quality=None,
    )


def _changed(original: ModelCard, own: License) -> License:
    """The license of changed weights: the original's, and the stricter answer of both."""
    theirs = original.license
    allowed, weights = own.stricter_use(theirs), theirs.weights
    if own.weights != weights:
        weights = f"{weights}; the changes: {own.weights}"
    note = f"Made from {original.id}, whose license applies to this model too. {theirs.note}"
    return replace(theirs, weights=weights, commercial_use=allowed, note=note.strip())


def one_view(card: ModelCard) -> InputContract:
    """The card's input without further views of a face."""
    return replace(card.input, mirror=False, crops=1)
