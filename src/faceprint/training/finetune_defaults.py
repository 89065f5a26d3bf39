"""The run file that `train finetune` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faceprint.training.finetune_table import Finetune

__all__ = ["Choices", "run_text"]

_AUGMENTATION = {
    "covered": "color = 0.2\njpeg = 0.1\nmask = 0.7",
    "small": "color = 0.2\nlow_resolution = 0.7\nsides = [20, 44]",
    "people": "color = 0.2\njpeg = 0.1\nblur = 0.1",
}
_RATES = {"all": 2e-3, "last-stage": 5e-3, "lora": 1e-2, "head": 5e-3}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line says; the rest of the run file has defaults.

    Attributes:
        against: evaluation sets.
        detector: finds the faces; None for the pack's.
    """

    folder: Path
    out: Path
    finetune: Finetune
    seed: int = 0
    epochs: int = 2
    batch: int = 20
    against: Sequence[Path] = ()
    aligned: bool = False
    detector: str | None = None
    threads: int | None = None


def run_text(chosen: Choices) -> str:
    """The run file's text; its paths are absolute."""
    tuned = chosen.finetune
    against = ", ".join(_quoted(path) for path in chosen.against)
    lines = [
        f"out = {_quoted(chosen.out)}",
        f"seed = {chosen.seed}",
        "",
        "[data]",
        f"folder = {_quoted(chosen.folder)}",
        f"store = {_quoted(chosen.out / 'crops')}",
        f"against = [{against}]",
        f"aligned = {str(chosen.aligned).lower()}",
        *([f"detector = {json.dumps(chosen.detector)}"] if chosen.detector else []),
        'sampling = "photographs"',
        "fewest = 1",
        "",
        "[finetune]",
        f"model = {json.dumps(tuned.model)}",
        f"aim = {json.dumps(tuned.aim)}",
        f"layers = {json.dumps(tuned.layers)}",
        f"rank = {tuned.rank}",
        f"distill = {tuned.distill!r}",
        f"labels = {tuned.labels!r}",
        f"hold_out = {tuned.hold_out!r}",
        "",
        "[augmentation]",
        _AUGMENTATION[tuned.aim],
        "",
        "[schedule]",
        f"epochs = {chosen.epochs}",
        f"batch = {chosen.batch}",
        'optimizer = "adamw"',
        f"rate = {_RATES[tuned.layers]!r}",
        "weight_decay = 0.0",
        f"warmup_epochs = {0.1 * chosen.epochs!r}",
        'decay = "cosine"',
        *([f"threads = {chosen.threads}"] if chosen.threads else []),
        "log_every = 10",
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    return json.dumps(str(path.absolute()), ensure_ascii=False)
