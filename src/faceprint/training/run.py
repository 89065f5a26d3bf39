"""A whole training run: data, updates, validation, log and checkpoint; it resumes exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from faceprint._text import counted
from faceprint.errors import DatasetError, UsageError
from faceprint.evaluation.bin_pack import open_bin
from faceprint.evaluation.datasets import LabeledSet, PairSet
from faceprint.evaluation.pairs import open_lfw, open_pair_table
from faceprint.training.batches import BatchPlan
from faceprint.training.check import CheckOptions, DataReport, check_data
from faceprint.training.checkpoint import CHECKPOINT, Checkpoint, facts_of, read_checkpoint
from faceprint.training.crop_build import PeopleCrops, Progress
from faceprint.training.crop_store import CropStore
from faceprint.training.distillation import (
    TeacherHead,
    cut_student,
    prepare_faces,
    pruned_student,
)
from faceprint.training.distributed import Group, joined
from faceprint.training.finetune import open_original, split, start_of, trainable
from faceprint.training.loop import Loop
from faceprint.training.network_names import PRUNED
from faceprint.training.people_data import open_people
from faceprint.training.run_file import Data, RunFile, Validation
from faceprint.training.run_log import RunLog, require_tensorboard
from faceprint.training.trainer import Trainer
from faceprint.vision.analyzer import load
from faceprint.zoo.store import file_sha256

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["Hooks", "Outcome", "open_data", "prepare", "train"]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is told while a run goes on.

    Attributes:
        progress: of new photographs, and of updates, by name.
        report: the data's report, before training begins.
        log: each line of the log.
        faces: photographs without names, before training begins.
    """

    progress: Callable[[str], Progress] = lambda what: lambda done, total: None
    report: Callable[[DataReport], None] = lambda report: None
    log: Callable[[dict[str, Any]], None] = lambda line: None
    faces: Callable[[PeopleCrops], None] = lambda faces: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run.

    Attributes:
        resumed_at: the update that it went on from; 0 for a fresh run.
        loss: of the last logged updates; None if there was nothing left to do.
        validation: the last accuracy, None without.
    """

    checkpoint: Path
    updates: int
    people: int
    photographs: int
    resumed_at: int
    loss: float | None
    validation: float | None


def open_data(data: Data) -> tuple[LabeledSet, list[LabeledSet], FaceAnalyzer | None]:
    """The labeled photographs, the evaluation sets, and the models that look at them.

    Raises:
        DatasetError: a folder can't be used.
        ModelError: no model of that name.
    """
    labeled = open_people(data.folder, aligned=data.aligned, exclude=data.exclude)
    others = [open_people(folder, aligned=data.aligned) for folder in data.against]
    if labeled.aligned:
        return labeled, others, None
    return labeled, others, load(data.pack, detector=data.detector, embedder=data.embedder)


def prepare(run: RunFile, hooks: Hooks) -> tuple[PeopleCrops, CropStore]:
    """Check the data, report on it, and choose what is trained on.

    Raises:
        DatasetError: people are shared with an evaluation set, or too little is left.
    """
    labeled, others, analyzer = open_data(run.data)
    judged = run.validation
    if judged is not None and judged.protocol == "lfw" and judged.path not in run.data.against:
        others.append(open_people(judged.path, aligned=judged.aligned))
    options = CheckOptions(analyzer, others, hooks.progress("new photographs"))
    report, store = check_data(labeled, run.data.store, options)
    hooks.report(report)
    if not report.passed:
        first = report.shared[0]
        raise DatasetError(
            f"{counted(len(report.shared), 'person is', 'people are')} shared with evaluation "
            f"sets, such as {first.person} ({first.evaluation}); leave them out with data.exclude"
        )
    people = report.cleaned() if run.data.clean else report.people
    people = people.only(people.counts()[people.subjects] >= run.data.fewest)
    if len(people.names) < 2:
        raise DatasetError(
            f"training takes at least two people with {run.data.fewest} or more photographs; the "
            f"data has {len(people.names) or 'none'}"
        )
    return people, store


def train(run: RunFile, hooks: Hooks | None = None, *, until: int | None = None) -> Outcome:
    """Train, or go on from the checkpoint in `run.out`.

    Under `torchrun` each process calls this; the first alone writes, and its hooks are told.

    Args:
        until: stop with a checkpoint after this update of the whole run; None runs to the end.

    Raises:
        UsageError: the checkpoint is of other settings or data, or an epoch fills no update.
        DatasetError: see `prepare` and `prepare_faces`; or the disk refuses.
        NotFiniteError: the loss became NaN or infinite; the last checkpoint is as it was.
        MissingExtraError: `schedule.tensorboard` without tensorboard.
    """
    schedule = run.schedule
    if schedule.tensorboard:
        require_tensorboard()
    if schedule.threads is not None:
        torch.set_num_threads(schedule.threads)
    with joined(schedule.device) as group:
        told = hooks if hooks is not None and group.first else Hooks()
        return _train(run, told, until, group)


def _train(run: RunFile, told: Hooks, until: int | None, group: Group) -> Outcome:
    schedule = run.schedule
    people, store = group.on_first(lambda: _chosen(run, told), share=True)
    head = None
    if run.distill is not None:
        head = TeacherHead(store.vectors()[people.rows], run.distill.relational)
    plan = BatchPlan(
        store.crops(),
        people.rows,
        people.subjects,
        schedule.batch,
        schedule.accumulation,
        run.augmentation,
        run.seed,
        run.data.sampling == "people",
        schedule.workers,
        (group.rank, group.count),
    )
    if not plan.updates_per_epoch:
        raise UsageError(
            f"{len(people.rows)} photographs fill no update of {schedule.batch} times "
            f"{schedule.accumulation}; lower schedule.batch"
        )
    group.check_batch(schedule.batch)
    pairs = group.on_first(lambda: _pairs(run.validation, people), share=False)
    try:
        run.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{run.out}: {error.strerror or error}") from error
    start, network, original = None, None, None
    if run.finetune is not None:
        start = start_of(run, people, store)
        original = open_original(run.finetune.model).card.files[0].sha256
    elif run.network.name == PRUNED:
        group.on_first(lambda: cut_student(run, store.crops()[people.rows]), share=False)
        student = pruned_student(run)
        network, original = trainable(student), file_sha256(student.file)
    trainer = Trainer(
        run,
        len(people.names),
        plan.updates_per_epoch,
        run.out,
        head=head,
        start=start,
        network=network,
        group=group,
    )
    facts = facts_of(run, people, original)
    path = run.out / CHECKPOINT
    if path.exists():
        _resume(trainer, path, facts)
    started = trainer.update
    end = plan.updates_per_epoch * schedule.epochs
    opened: AbstractContextManager[RunLog | None] = nullcontext()
    if group.first:
        opened = closing(RunLog(run.out, started, tensorboard=schedule.tensorboard, tell=told.log))
    with opened as log:
        loop = Loop(
            run, trainer, plan, lambda: Checkpoint(facts, people.names, trainer.state()), pairs, log
        )
        loop.go(end if until is None else min(end, until), end, told.progress("updates"))
    return Outcome(
        path,
        trainer.update,
        len(people.names),
        len(people.rows),
        started,
        loop.loss,
        loop.accuracy,
    )


def _chosen(run: RunFile, told: Hooks) -> tuple[PeopleCrops, CropStore]:
    """What is trained on."""
    if run.distill is None:
        everybody, store = prepare(run, told)
        return split(run, everybody)[0], store
    people, store = prepare_faces(run, told.progress("new photographs"))
    told.faces(people)
    return people, store


def _pairs(validation: Validation | None, people: PeopleCrops) -> PairSet | None:
    """The pairs to measure on, none of whose photographs is trained on; None without."""
    if validation is None:
        return None
    path, aligned = validation.path, validation.aligned
    if validation.protocol == "bin":
        pairs = open_bin(path)
    elif validation.protocol == "lfw":
        pairs = open_lfw(path, validation.pairs or path / "pairs.txt", aligned=aligned)
    elif validation.pairs is None:
        pairs = open_pair_table(path, aligned=aligned)
    else:
        pairs = open_pair_table(validation.pairs, root=path, aligned=aligned)
    known = set(people.hashes)
    for picture in pairs.pictures:
        if hashlib.sha256(picture.read()).digest() in known:
            raise DatasetError(f"{picture.name} of {pairs.name} is in the training data too")
    return pairs


def _resume(trainer: Trainer, path: Path, facts: dict[str, Any]) -> None:
    found = read_checkpoint(path)
    differing = sorted(key for key in facts if found.facts.get(key) != facts[key])
    if differing:
        raise UsageError(
            f"{path} is of a run with other {', '.join(differing)}; use another `out`, or delete it"
        )
    trainer.restore(found.state)
