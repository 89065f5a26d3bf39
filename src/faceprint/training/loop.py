"""Update after update, with what happens between them: log, checkpoint, validation."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

import numpy as np

from faceprint.evaluation.datasets import PairSet
from faceprint.evaluation.verification import VerificationProtocol
from faceprint.training.batches import BatchPlan
from faceprint.training.checkpoint import CHECKPOINT, Checkpoint, write_checkpoint
from faceprint.training.crop_build import Progress
from faceprint.training.live_embedder import NetworkSession, validate
from faceprint.training.run_file import RunFile
from faceprint.training.run_log import RunLog
from faceprint.training.trainer import Trainer
from faceprint.vision.load import resolve

__all__ = ["Loop"]

_MEASURED = ("accuracy", "accuracy_std", "auc", "eer")


class Loop:
    """The updates of a run.

    Args:
        checkpoint: makes one of the present state.
        pairs: to validate on; None without.
        log: None in a process that writes nothing, neither log nor checkpoint.

    Attributes:
        loss: of the last logged updates; None before.
        accuracy: of the last validation; None before.
    """

    def __init__(
        self,
        run: RunFile,
        trainer: Trainer,
        plan: BatchPlan,
        checkpoint: Callable[[], Checkpoint],
        pairs: PairSet | None,
        log: RunLog | None,
    ) -> None:
        self.run, self.trainer, self.plan = run, trainer, plan
        self.checkpoint, self.pairs, self.log = checkpoint, pairs, log
        self.loss: float | None = None
        self.accuracy: float | None = None

    def go(self, until: int, end: int, show: Progress) -> None:
        """Do the updates up to `until`, of `end` in the whole run.

        Raises:
            NotFiniteError: see `Trainer.step`.
            DatasetError: the disk refuses.
        """
        schedule, trainer = self.run.schedule, self.trainer
        losses: list[float] = []
        first, begun = trainer.update, time.monotonic()
        with closing(self.plan.updates(first, until)) as updates:  # type: ignore[type-var]
            for batches in updates:
                losses.append(trainer.step(batches))
                done = trainer.update
                if done % schedule.log_every == 0 or done == until:
                    self.loss = float(np.mean(losses))
                    each = (time.monotonic() - begun) / (done - first)
                    images = schedule.batch * schedule.accumulation
                    self._write(
                        {
                            "update": done,
                            "epoch": round(done / self.plan.updates_per_epoch, 4),
                            "loss": round(self.loss, 6),
                            "learning_rate": float(f"{trainer.rate:.6g}"),
                            "images_per_second": round(images / each, 2),
                            "seconds_left": round(each * (end - done)),
                        }
                    )
                    losses.clear()
                show(done - first, until - first)
                if self.log is not None:
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
        measured: dict[str, Any] = {key: getattr(result, key) for key in _MEASURED}
        measured["tar_at_far"] = dict(result.tar_at_far)
        self._write({"update": done, "validation": measured})

    def _write(self, line: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write(line)
