"""What a gallery needs of the pipeline, and the pin that ties its vectors to a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from faceprint.errors import ModelMismatchError, UsageError
from faceprint.recognition.gallery.records import ModelPin
from faceprint.types import AnalyzedImage, Embedding, Face, Image
from faceprint.zoo.card import ModelCard

__all__ = ["Analyzer", "check_pin", "pin_of"]


class Analyzer(Protocol):
    """Photographs in, faces with embeddings out; `faceprint.load` gives one."""

    @property
    def name(self) -> str:
        """The pack's name."""

    @property
    def embedder_card(self) -> ModelCard:
        """The embedder."""

    @property
    def detector_card(self) -> ModelCard:
        """The detector: operating points hold for its alignment."""

    @property
    def mirror(self) -> bool:
        """Whether embeddings are averaged with those of the mirror image."""

    def analyze(self, source: Any, *, keep_crops: bool = False) -> list[Face]:
        """The faces of one photograph, largest first."""

    def analyze_many(
        self, sources: Iterable[Any], *, batch_size: int = 32, keep_crops: bool = False
    ) -> Iterator[AnalyzedImage]:
        """A stream of photographs, lazily and in order."""

    def embed_crops(self, crops: Sequence[Image]) -> list[Embedding]:
        """Embed crops that are aligned already."""


def pin_of(analyzer: Analyzer) -> ModelPin:
    """The pin of an analyzer's embedder; mirrored embeddings are another model's.

    Raises:
        UsageError: the card is not of an embedder.
    """
    from faceprint.zoo.card_io import card_hash

    card = analyzer.embedder_card
    if card.dim is None or card.alignment is None:
        raise UsageError(f"{card.id} is not an embedder; a gallery belongs to an embedder")
    alignment = f"{card.alignment.template}:{card.alignment.size}"
    name, digest = card.id, card_hash(card)
    if analyzer.mirror:
        name, digest = f"{name}+mirror", hashlib.sha256(f"{digest}+mirror".encode()).hexdigest()
    return ModelPin(name, digest, card.dim, alignment)


def check_pin(location: str, pinned: ModelPin, offered: ModelPin) -> None:
    """Refuse another model's vectors, and say what to do.

    Raises:
        ModelMismatchError: `offered` is not the model the gallery was made with.
    """
    if pinned.hash == offered.hash and pinned.dim == offered.dim:
        return
    if pinned.id == offered.id:
        raise ModelMismatchError(
            f"{location} was made with another version of {pinned.id} (card {pinned.hash[:12]}, "
            f"now {offered.hash[:12]}); its vectors do not compare. Load the card it was made "
            f"with, or re-embed it: faceprint gallery migrate {location} --embedder {offered.id}"
        )
    raise ModelMismatchError(
        f"{location} holds vectors of {pinned.id}, not of {offered.id}; they do not compare. Use "
        f"--embedder {pinned.id}, or re-embed it: faceprint gallery migrate {location} "
        f"--embedder {offered.id}"
    )
