"""The learning rate of each update."""

from __future__ import annotations

import math

from faceprint.training.run_file import Schedule

__all__ = ["learning_rate"]


def learning_rate(schedule: Schedule, update: int, per_epoch: int) -> float:
    """A linear warm-up, then a decay to zero at the end of the last epoch, or none.

    Args:
        update: counted from 0.
        per_epoch: updates in an epoch.
    """
    warmup = round(schedule.warmup_epochs * per_epoch)
    if update < warmup:
        return schedule.rate * (update + 1) / warmup
    total = schedule.epochs * per_epoch
    done = (update - warmup) / max(1, total - warmup)
    if schedule.decay == "polynomial":
        return schedule.rate * (1 - done) ** 2
    if schedule.decay == "cosine":
        return schedule.rate * (1 + math.cos(math.pi * done)) / 2
    return schedule.rate
