"""Fine-tune by one run file, and report on people whom it has not seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceprint._files import atomic_write
from faceprint.errors import DatasetError, UsageError
from faceprint.runtime.session import open_session
from faceprint.training.before_after import Comparison, compare, verdict_of
from faceprint.training.checkpoint import CHECKPOINT, read_checkpoint
from faceprint.training.crop_build import PeopleCrops, build_store, people_of
from faceprint.training.crop_store import CropStore
from faceprint.training.finetune import open_original, split, trainable
from faceprint.training.live_embedder import INPUT, NetworkSession
from faceprint.training.run import Hooks, Outcome, open_data, prepare, train
from faceprint.training.run_file import RunFile
from faceprint.training.teacher import teacher_vectors
from faceprint.types import Array, Image

__all__ = ["Finetuned", "finetune", "report"]

_MOST = 2000
"""Photographs of a data set that are measured; people with two or more go first."""


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The end of a fine-tuning.

    Attributes:
        improved: whether the aim became better by more than chance explains, and nothing worse.
        verdict: that in a sentence.
        comparisons: of the people held out, then of each set of `data.against`.
    """

    outcome: Outcome
    improved: bool
    verdict: str
    comparisons: tuple[Comparison, ...]
    file: Path


def finetune(run: RunFile, hooks: Hooks | None = None) -> Finetuned:
    """Train, or go on; then measure, and write report.json in the run's folder.

    Raises:
        UsageError: the run file has no table `finetune`, or nobody to measure on; see `train`.
        DatasetError, ModelError: see `train`; or there are too few people to measure on.
    """
    if run.finetune is None:
        raise UsageError("the run file has no table finetune; see docs/training.md")
    if not run.finetune.hold_out and not run.data.against:
        raise UsageError("nobody to measure on: set finetune.hold_out or data.against")
    told = hooks or Hooks()
    outcome = train(run, told)
    comparisons = report(run, replace(told, report=lambda found: None))
    improved, verdict = verdict_of(run.finetune.aim, comparisons)
    document = {
        "model": run.finetune.model,
        "aim": run.finetune.aim,
        "layers": run.finetune.layers,
        "improved": improved,
        "verdict": verdict,
        "comparisons": [each.to_dict() for each in comparisons],
    }
    path = run.out / "report.json"
    try:
        atomic_write(path, json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    return Finetuned(outcome, improved, verdict, tuple(comparisons), path)


def report(run: RunFile, hooks: Hooks) -> list[Comparison]:
    """Measure the original and the checkpoint's network on the same crops.

    Raises:
        DatasetError: too few people for a false match rate of 1 %.
    """
    assert run.finetune is not None
    everybody, store = prepare(run, hooks)
    _, held = split(run, everybody)
    original = open_original(run.finetune.model)
    network = trainable(original, run.finetune)
    network.load_state_dict(read_checkpoint(run.out / CHECKPOINT).state["network"])
    device = torch.device(run.schedule.device)
    session = NetworkSession(network.to(device), device, original.card.dim or 0)
    before = open_session(original.file, runtime="onnxruntime")
    trained = replace(original.card, input=INPUT)

    def embed_before(crops: Image) -> Array:
        return teacher_vectors(before, original.card, crops)

    def embed_after(crops: Image) -> Array:
        return teacher_vectors(session, trained, crops)

    both = (embed_before, embed_after)
    found = []
    if held is not None:
        found.append(compare("people held out", *_measured(held, store), both))
    _, others, analyzer = open_data(run.data)
    for other in others:
        store, hashes = build_store(other, run.data.store, analyzer)
        found.append(compare(other.name, *_measured(people_of(other, store, hashes), store), both))
    return found


def _measured(people: PeopleCrops, store: CropStore) -> tuple[Any, NDArray[np.int64]]:
    """Crops and people, at most `_MOST`."""
    order = np.argsort(-(people.counts()[people.subjects] > 1).astype(int), kind="stable")[:_MOST]
    return np.array(store.crops()[people.rows[order]]), people.subjects[order]
