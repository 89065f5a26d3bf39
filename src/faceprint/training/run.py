"""A whole training run: data, updates, validation, log and checkpoint; it resumes exactly."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from faceprint.errors import DatasetError, UsageError
from faceprint.evaluation.bin_pack import open_bin
from faceprint.evaluation.datasets import LabeledSet, PairSet
from faceprint.evaluation.pairs import open_lfw, open_pair_table
from faceprint.evaluation.verification import VerificationProtocol
from faceprint.training.batches import BatchPlan
from faceprint.training.check import CheckOptions, DataReport, check_data
from faceprint.training.checkpoint import (
    Checkpoint,
    facts_of,
    read_checkpoint,
    write_checkpoint,
)
from faceprint.training.crop_build import PeopleCrops, Progress
from faceprint.training.crop_store import CropStore
from faceprint.training.distillation import TeacherHead, prepare_faces
from faceprint.training.finetune import open_original, split, start_of
from faceprint.training.live_embedder import NetworkSession, validate
from faceprint.training.people_data import open_people
from faceprint.training.run_file import Data, RunFile, Validation
from faceprint.training.trainer import Trainer
from faceprint.vision.analyzer import load
from faceprint.vision.load import resolve

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["Hooks", "Outcome", "open_data", "prepare", "train"]

CHECKPOINT = "checkpoint.pt"


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
            f"{len(report.shared)} people are shared with evaluation sets, such as {first.person} "
            f"({first.evaluation}); leave them out with data.exclude"
        )
    people = report.cleaned() if run.data.clean else report.people
    people = people.only(people.counts()[people.subjects] >= run.data.fewest)
    if len(people.names) < 2:
        raise DatasetError(
            f"{len(people.names)} people have {run.data.fewest} or more photographs, not two"
        )
    return people, store


def train(run: RunFile, hooks: Hooks | None = None, *, until: int | None = None) -> Outcome:
    """Train, or go on from the checkpoint in `run.out`.

    Args:
        until: stop with a checkpoint after this update of the whole run; None runs to the end.

    Raises:
        UsageError: the checkpoint is of other settings or data, or an epoch fills no update.
        DatasetError: see `prepare` and `prepare_faces`; or the disk refuses.
        NotFiniteError: the loss became NaN or infinite; the last checkpoint is as it was.
    """
    told = hooks or Hooks()
    schedule = run.schedule
    if schedule.threads is not None:
        torch.set_num_threads(schedule.threads)
    head = None
    if run.distill is None:
        everybody, store = prepare(run, told)
        people, _ = split(run, everybody)
    else:
        people, store = prepare_faces(run, told.progress("new photographs"))
        told.faces(people)
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
    )
    if not plan.updates_per_epoch:
        raise UsageError(
            f"{len(people.rows)} photographs fill no update of {schedule.batch} times "
            f"{schedule.accumulation}; lower schedule.batch"
        )
    pairs = None if run.validation is None else _pairs(run.validation, people)
    try:
        run.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{run.out}: {error.strerror or error}") from error
    start, original = None, None
    if run.finetune is not None:
        start = start_of(run, people, store)
        original = open_original(run.finetune.model).card.files[0].sha256
    trainer = Trainer(
        run, len(people.names), plan.updates_per_epoch, run.out, head=head, start=start
    )
    facts = facts_of(run, people, original)
    path = run.out / CHECKPOINT
    if path.exists():
        _resume(trainer, path, facts)
    loop = _Loop(run, trainer, plan, told, lambda: Checkpoint(facts, people.names, trainer.state()))
    loop.pairs = pairs
    started = trainer.update
    end = plan.updates_per_epoch * schedule.epochs
    loop.go(end if until is None else min(end, until), end)
    return Outcome(
        path,
        trainer.update,
        len(people.names),
        len(people.rows),
        started,
        loop.loss,
        loop.accuracy,
    )


def _pairs(validation: Validation, people: PeopleCrops) -> PairSet:
    """The pairs to measure on, none of whose photographs is trained on."""
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


class _Loop:
    """Updates with what happens between them."""

    def __init__(
        self,
        run: RunFile,
        trainer: Trainer,
        plan: BatchPlan,
        hooks: Hooks,
        checkpoint: Callable[[], Checkpoint],
    ) -> None:
        self.run, self.trainer, self.plan, self.hooks = run, trainer, plan, hooks
        self.checkpoint = checkpoint
        self.pairs: PairSet | None = None
        self.loss: float | None = None
        self.accuracy: float | None = None

    def go(self, until: int, end: int) -> None:
        schedule, trainer = self.run.schedule, self.trainer
        show = self.hooks.progress("updates")
        losses: list[float] = []
        first, begun = trainer.update, time.monotonic()
        with closing(self.plan.updates(first, until)) as updates:  # type: ignore[type-var]
            for batches in updates:
                losses.append(trainer.step(batches))
                done = trainer.update
                if done % schedule.log_every == 0 or done == until:
                    self.loss = float(np.mean(losses))
                    each = (time.monotonic() - begun) / (done - first)
                    self._log(
                        {
                            "update": done,
                            "epoch": round(done / self.plan.updates_per_epoch, 4),
                            "loss": round(self.loss, 6),
                            "images_per_second": round(
                                schedule.batch * schedule.accumulation / each, 2
                            ),
                            "seconds_left": round(each * (end - done)),
                        }
                    )
                    losses.clear()
                show(done - first, until - first)
                self._between(done, until)

    def _between(self, done: int, until: int) -> None:
        validation, per_epoch = self.run.validation, self.plan.updates_per_epoch
        if done % self.run.schedule.checkpoint_every == 0 or done == until:
            write_checkpoint(self.run.out / CHECKPOINT, self.checkpoint())
        if validation is None or self.pairs is None or done % (per_epoch * validation.every):
            return
        data = self.run.data
        session = NetworkSession(self.trainer.network, self.trainer.device, self.trainer.dim)
        result = validate(
            session,
            self.trainer.dim,
            self.pairs,
            cast("VerificationProtocol", validation.protocol),
            resolve(data.pack, data.detector, data.embedder)[1],
            self.run.out / "validation",
        )
        self.accuracy = result.accuracy
        measured = {key: getattr(result, key) for key in ("accuracy", "accuracy_std", "auc", "eer")}
        self._log({"update": done, "validation": measured})

    def _log(self, line: dict[str, Any]) -> None:
        self.hooks.log(line)
        try:
            with (self.run.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise DatasetError(f"{self.run.out}: {error.strerror or error}") from error
