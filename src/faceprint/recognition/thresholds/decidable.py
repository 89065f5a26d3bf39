"""Whether a face is good enough for a similarity to say anything about it."""

from __future__ import annotations

import math

from faceprint.errors import UsageError
from faceprint.types import Quality
from faceprint.zoo.card import ModelCard

__all__ = ["USABLE", "check_min_quality", "objection", "usable_quality"]

USABLE = 0.5
"""The value of `Quality.value` from which a model's error rates hold, for every embedder whose card
has a quality measure (docs/decisions/0003-quality.md)."""


def check_min_quality(min_quality: float | None) -> None:
    """Refuse a quality that no face can have.

    Raises:
        UsageError: not within 0..1.
    """
    if min_quality is not None and not (math.isfinite(min_quality) and 0.0 <= min_quality <= 1.0):
        raise UsageError(f"min_quality is {min_quality}; a quality lies between 0 and 1")


def usable_quality(card: ModelCard, min_quality: float | None = None) -> float | None:
    """The least quality that a face needs.

    Args:
        card: the embedder.
        min_quality: what the caller asked for; None leaves it to the card.

    Returns:
        None where any face will do, even one whose landmarks make no sense: the caller said 0.
        0.0 where nobody measured a limit for this embedder.

    Raises:
        UsageError: `min_quality` is not within 0..1.
    """
    check_min_quality(min_quality)
    if min_quality is not None:
        return min_quality or None
    return 0.0 if card.quality is None else USABLE


def objection(quality: Quality | None, least: float | None) -> str:
    """Why a face can't be used, empty when it can.

    Args:
        quality: None counts as good enough.
        least: what `usable_quality` gave.
    """
    if quality is None or least is None:
        return ""
    if not quality.landmarks_plausible:
        return "the landmarks found cannot be those of a face"
    # A value computed on one kind of processor may fall short of another's by a rounding.
    if quality.value < least - 1e-6:
        return f"quality {quality.value:.2f} is below {least:.2f}"
    return ""
