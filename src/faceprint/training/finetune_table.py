"""The table `finetune` of a run file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["AIM_NAMES", "Finetune"]

AIM_NAMES = {"covered": "covered faces", "small": "small faces", "people": "these people"}
AIMS = tuple(AIM_NAMES)
LAYERS = ("all", "last-stage", "lora", "head")


@dataclass(frozen=True, slots=True)
class Finetune:
    """Table `finetune`: start from an ONNX model instead of random weights; see `finetune`.

    Attributes:
        model: id of a card, or FILE.onnx.
        aim: what is to become better: faces that are `covered` or `small`, or these `people`.
        layers: what is trained.
        rank: of each weight's change with `lora`.
        distill: weight of the loss that keeps the embedding of a changed crop where the original
            puts the unchanged one.
        labels: weight of the margin loss over people; 0 uses no labels.
        hold_out: share of the people who are not trained on but measured.
    """

    model: str
    aim: str = "covered"
    layers: str = "lora"
    rank: int = 8
    distill: float = 1.0
    labels: float = 0.0
    hold_out: float = 0.3

    def problems(self) -> Iterator[str]:
        """What is out of range."""
        for key, value, allowed in (("aim", self.aim, AIMS), ("layers", self.layers, LAYERS)):
            if value not in allowed:
                yield f"finetune.{key} is {value!r}; it must be one of {', '.join(allowed)}"
        if self.rank < 1:
            yield "finetune.rank is below 1"
        if min(self.distill, self.labels) < 0 or not self.distill + self.labels > 0:
            yield "finetune.distill and finetune.labels must not be negative, nor both 0"
        if not 0 <= self.hold_out < 1:
            yield "finetune.hold_out lies in 0..1, below 1"
