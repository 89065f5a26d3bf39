"""What a gallery needs of an analyzer: embeddings, the model they belong to, and thresholds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from faceprint.errors import ModelMismatchError, UsageError
from faceprint.recognition.gallery.records import ModelPin
from faceprint.recognition.thresholds.default_threshold import given_point, search_points
from faceprint.recognition.thresholds.fpir import fpir_point, search_point
from faceprint.recognition.thresholds.saved_calibrations import Models
from faceprint.types import AnalyzedImage, Embedding, Face, Image, OperatingPoint

__all__ = ["Analyzer", "check_pin", "operating_point", "pin_of"]


class Analyzer(Models, Protocol):
    """Finds and embeds the faces of photographs; `faceprint.load` gives one."""

    @property
    def name(self) -> str:
        """The pack's name."""

    def analyze(self, source: Any, *, keep_crops: bool = False) -> list[Face]:
        """The faces of one photograph, largest first."""

    def analyze_many(
        self, sources: Iterable[Any], *, batch_size: int = 32, keep_crops: bool = False
    ) -> Iterator[AnalyzedImage]:
        """A stream of photographs, lazily and in order."""

    def embed_crops(self, crops: Sequence[Image]) -> list[Embedding]:
        """Embed aligned crops."""


def pin_of(analyzer: Analyzer) -> ModelPin:
    """The pin of an analyzer's embedder; embeddings averaged with the mirror image have another.

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
    """Check that the offered model is the one that the gallery was created with.

    Raises:
        ModelMismatchError: it is another; the message says what to do.
    """
    if pinned.hash == offered.hash and pinned.dim == offered.dim:
        return
    if pinned.id == offered.id:
        raise ModelMismatchError(
            f"{location} was created with another version of {pinned.id} (card {pinned.hash[:12]}, "
            f"now {offered.hash[:12]}); its vectors are not comparable. Load the card it was "
            f"created with, or re-embed it: faceprint gallery migrate {location} "
            f"--embedder {offered.id}"
        )
    raise ModelMismatchError(
        f"{location} contains vectors of {pinned.id}, which are not comparable with those of "
        f"{offered.id}. Use --embedder {pinned.id}, or re-embed it: faceprint gallery migrate "
        f"{location} --embedder {offered.id}"
    )


def operating_point(
    analyzer: Analyzer,
    templates: int,
    fpir: float | None = None,
    threshold: float | None = None,
    points: Sequence[OperatingPoint] | None = None,
) -> OperatingPoint:
    """The operating point to search this many templates (`thresholds.fpir.fpir_point`).

    Args:
        fpir: the share of strangers that may be identified as somebody; 1e-2 by default.
        threshold: a cosine similarity to use instead.
        points: measured ones, such as a calibration's; None for those known of these models. A
            published threshold has no known FPIR; it is used if `fpir` is None.

    Raises:
        UsageError: both `fpir` and `threshold`, or no measurement supports the FPIR.
    """
    if threshold is not None:
        if fpir is not None:
            raise UsageError("give fpir or threshold, not both")
        return given_point(threshold)
    if points is not None:
        return fpir_point(points, templates, fpir, model=analyzer.embedder_card.id)
    return search_point(search_points(analyzer), templates, fpir)
