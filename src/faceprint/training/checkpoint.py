"""Checkpoints: written whole or not at all, and read without executing anything."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from faceprint._files import atomic_write
from faceprint.errors import DatasetError, UsageError
from faceprint.training.crop_build import PeopleCrops
from faceprint.training.run_file import RunFile
from faceprint.zoo.card_io import card_hash
from faceprint.zoo.catalog import get_card

__all__ = ["CHECKPOINT", "Checkpoint", "facts_of", "read_checkpoint", "write_checkpoint"]

CHECKPOINT = "checkpoint.pt"
"""The checkpoint's name in a run's folder."""

_FORMAT = 1
_FREE = ("threads", "workers", "checkpoint_every", "log_every", "tensorboard", "device")
"""Settings of the schedule that may change when a run is resumed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's content.

    Attributes:
        facts: see `facts_of`.
        names: of the people.
        state: of `Trainer`.
    """

    facts: dict[str, Any]
    names: tuple[str, ...]
    state: dict[str, Any]


def facts_of(run: RunFile, people: PeopleCrops, original: str | None = None) -> dict[str, Any]:
    """What determines the weights, as JSON values. A checkpoint of other facts is refused.

    Args:
        original: SHA-256 of the graph that the run starts from, if it does.
    """
    digest = hashlib.sha256()
    for sha256, subject in zip(people.hashes, people.subjects.tolist(), strict=True):
        digest.update(sha256 + int(subject).to_bytes(8, "little"))
    schedule = {k: v for k, v in dataclasses.asdict(run.schedule).items() if k not in _FREE}
    network = dataclasses.asdict(run.network)
    del network["initial"]  # where a run started is in its weights
    facts = {
        "seed": run.seed,
        "data": digest.hexdigest(),
        "photographs": len(people.rows),
        "sampling": run.data.sampling,
        "network": network,
        "loss": dataclasses.asdict(run.loss),
        "augmentation": dataclasses.asdict(run.augmentation),
        "schedule": schedule,
    }
    if run.distill is not None:
        teacher = card_hash(get_card(run.distill.teacher))
        facts["distill"] = dataclasses.asdict(run.distill) | {"card": teacher}
    if run.finetune is not None:
        facts["finetune"] = dataclasses.asdict(run.finetune)
        del facts["network"]
    if original is not None:
        facts["original"] = original
    known: dict[str, Any] = json.loads(json.dumps(facts))
    return known


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint; it is durable when this returns.

    Raises:
        DatasetError: the disk refuses.
    """
    content = {"format": _FORMAT, **dataclasses.asdict(checkpoint)}
    content["names"] = list(checkpoint.names)
    try:
        atomic_write(path, lambda file: torch.save(content, file), private=True)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        UsageError: not a checkpoint, or of another version.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: not a checkpoint ({reason})") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise UsageError(f"{path}: not a checkpoint of this version")
    try:
        return Checkpoint(found["facts"], tuple(found["names"]), found["state"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: not a whole checkpoint") from error
