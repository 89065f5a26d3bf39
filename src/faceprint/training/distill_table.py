"""Table `distill` of a run file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Distill"]

FACES = ("largest", "all")


@dataclass(frozen=True, slots=True)
class Distill:
    """Learn the embeddings of another model, in place of people's names.

    Attributes:
        teacher: card id of an embedder.
        faces: of each photograph: `largest` or `all`.
        relational: weight of the loss between pairs of a batch.
    """

    teacher: str
    faces: str = "largest"
    relational: float = 0.0

    def problems(self) -> Iterator[str]:
        """What is out of range."""
        if self.faces not in FACES:
            yield f"distill.faces is {self.faces!r}; it must be one of {', '.join(FACES)}"
        if not self.relational >= 0:
            yield "distill.relational must not be negative"
