"""Distillation: a network learns the embeddings of another, on photographs without names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceprint._files import atomic_write
from faceprint.errors import DatasetError, UsageError
from faceprint.training.crop_build import PeopleCrops, Progress, build_store
from faceprint.training.crop_store import CropStore
from faceprint.training.finetune import Original, TrainableEmbedder, open_original
from faceprint.training.margins import Tensor
from faceprint.training.prune import prune
from faceprint.training.unlabeled import faces_of, open_photographs
from faceprint.vision.analyzer import load
from faceprint.vision.load import LoadOptions, load_embedder
from faceprint.zoo.card import License, ModelCard
from faceprint.zoo.catalog import get_card

if TYPE_CHECKING:
    from faceprint.training.run_file import RunFile
    from faceprint.types import Array, Image

__all__ = [
    "PAPERS",
    "TeacherHead",
    "cut_student",
    "inherited",
    "own_data",
    "prepare_faces",
    "pruned_student",
    "teacher_of",
]

PAPERS = {
    False: "https://arxiv.org/abs/1503.02531",  # Hinton et al. 2015
    True: "https://arxiv.org/abs/1904.05068",  # Park et al. 2019: relations
}
"""By whether relations are learned too."""

_STUDENT = "student.onnx"
_CROPS = 96
"""Crops that a pruned student is fitted on, before it learns from all."""


def teacher_of(run: RunFile) -> ModelCard:
    """The card of `distill.teacher`.

    Raises:
        UnknownModelError: no such card.
        UsageError: not an embedder, or of another size than `network.dim`.
    """
    assert run.distill is not None
    card = get_card(run.distill.teacher)
    if card.task != "embed":
        raise UsageError(f"{card.id} is a model for '{card.task}'; a teacher is an embedder")
    if card.dim != run.network.dim:
        raise UsageError(
            f"the embeddings of {card.id} have {card.dim} numbers, network.dim is "
            f"{run.network.dim}; both must be the same"
        )
    return card


def prepare_faces(run: RunFile, progress: Progress) -> tuple[PeopleCrops, CropStore]:
    """Find, align and embed the faces that the crop store lacks.

    The store's vectors are the teacher's embeddings, averaged with those of the mirror images.

    Raises:
        DatasetError: no photographs; or the store can't be used, or is of another teacher.
        ModelError: the models can't be loaded.
    """
    assert run.distill is not None
    data, teacher = run.data, teacher_of(run)
    found = open_photographs(data.folder, aligned=data.aligned, exclude=data.exclude)
    if found.aligned:
        network = load_embedder(teacher, LoadOptions(mirror=True))
        store, hashes = build_store(found, data.store, None, progress, embedder=network)
    else:
        analyzer = load(data.pack, detector=data.detector, embedder=teacher.id, mirror=True)
        every = run.distill.faces == "all"
        store, hashes = build_store(found, data.store, analyzer, progress, every_face=every)
    return faces_of(found, store, hashes), store


def cut_student(run: RunFile, crops: Image) -> None:
    """Make the graph of a `pruned` student in `run.out`, unless it is there.

    Args:
        crops: (n, 112, 112, 3), of which some are looked at.

    Raises:
        CardError: the teacher can't be trained or pruned; see `open_original` and `prune`.
        DatasetError: the disk refuses.
    """
    assert run.distill is not None
    path = run.out / _STUDENT
    if path.exists():
        return
    original = open_original(run.distill.teacher)
    order = np.random.default_rng((run.seed, 6)).permutation(len(crops))
    chosen = crops[np.sort(order[:_CROPS])].astype(np.float32)
    blob = torch.from_numpy(chosen.transpose(0, 3, 1, 2).copy() / 127.5 - 1)
    taken = TrainableEmbedder(original).contracted(blob).numpy()
    try:
        atomic_write(path, prune(original.file, run.network.width, taken))
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error


def pruned_student(run: RunFile) -> Original:
    """The graph that `cut_student` made, under the teacher's card.

    Raises:
        UsageError: it is not there.
    """
    path = run.out / _STUDENT
    if not path.is_file():
        raise UsageError(f"{path}: no such file; the run has not begun")
    return Original(teacher_of(run), path)


class TeacherHead(nn.Module):  # type: ignore[misc]
    """In place of a `ClassHead`: how far embeddings are from the teacher's of the same faces.

    The loss is the mean of 1 - cosine, and `relational` times the mean squared difference between
    the cosines within the batch and those of the teacher.

    Args:
        targets: (n, dim) unit embeddings by the teacher.
        relational: weight of the second part.
    """

    def __init__(self, targets: Array, relational: float) -> None:
        super().__init__()
        self.relational = relational
        self.margin = nn.Identity()  # has no running averages
        # Not in the checkpoint: the crop store has them.
        self.register_buffer("targets", torch.from_numpy(np.array(targets)), persistent=False)

    def choose(self, labels: Tensor, generator: Any = None) -> None:
        """Nothing: there are no classes to choose from."""

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            embeddings: (n, dim), of any length.
            labels: (n,) rows of `targets`.
        """
        unit, wanted = functional.normalize(embeddings.float()), self.targets[labels]
        loss = 1 - (unit * wanted).sum(dim=1).mean()
        if self.relational:
            loss = loss + self.relational * (unit @ unit.T - wanted @ wanted.T).square().mean()
        return loss

    def step(self, rate: float, momentum: float, weight_decay: float) -> None:
        """Nothing: the targets stay."""


def own_data(teacher: ModelCard) -> str:
    """What the teacher was trained on, in brackets; empty where its card does not say."""
    return f" (trained on {teacher.training_data})" if teacher.training_data else ""


def inherited(own: License, teacher: ModelCard) -> License:
    """The license of a student's weights: the teacher's terms too, where they are stricter."""
    theirs = teacher.license
    allowed = own.stricter_use(theirs)
    if allowed == own.commercial_use:
        return own
    return replace(
        own,
        weights=f"{own.weights}; made from {teacher.id}: {theirs.weights}",
        commercial_use=allowed,
    )
