"""The quality a face needs: for a comparison to count, and to be clustered at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from faceprint.errors import UsageError
from faceprint.types import Array, Quality
from faceprint.zoo.card import ModelCard

__all__ = ["USABLE", "QualityFilter", "check_min_quality", "objection", "usable_quality"]

USABLE = 0.5
"""The `Quality.value` from which a model's error rates hold, for every embedder whose card has a
quality measure (docs/decisions/0003-quality.md)."""


def check_min_quality(min_quality: float | None) -> None:
    """Refuse a quality that no face can have.

    Raises:
        UsageError: not within 0..1.
    """
    if min_quality is not None and not (math.isfinite(min_quality) and 0.0 <= min_quality <= 1.0):
        raise UsageError(f"min_quality is {min_quality}; a quality lies between 0 and 1")


def usable_quality(card: ModelCard, min_quality: float | None = None) -> float | None:
    """The minimum quality of a face.

    Args:
        card: the embedder.
        min_quality: what the caller asked for; None leaves it to the card.

    Returns:
        None when the caller gave 0: any face will do, even one with implausible landmarks. 0.0
        where no minimum was measured for this embedder.

    Raises:
        UsageError: `min_quality` is not within 0..1.
    """
    check_min_quality(min_quality)
    if min_quality is not None:
        return min_quality or None
    return 0.0 if card.quality is None else USABLE


def objection(quality: Quality | None, minimum: float | None) -> str:
    """Why a face can't be used; empty when it can.

    Args:
        quality: None counts as good enough.
        minimum: from `usable_quality`.
    """
    if quality is None or minimum is None:
        return ""
    if not quality.landmarks_plausible:
        return "the landmarks found cannot be a face's, or the photograph's edge cuts them off"
    # Processors differ in the last digits of a value.
    if quality.value < minimum - 1e-6:
        return f"quality {quality.value:.2f} is below {minimum:.2f}"
    return ""


@dataclass(frozen=True, slots=True)
class QualityFilter:
    """The quality a face needs to be clustered; the others stay unassigned.

    Attributes:
        size: the shorter side of the box in pixels.
        sharpness: variance of the Laplacian of the aligned crop.
        yaw: 0..1, how far the head may be turned; 1 is a profile.
    """

    size: float = 24.0
    sharpness: float = 8.0
    yaw: float = 0.95

    def reasons(self, quality: Array) -> list[str]:
        """Why each face is left out; empty for one that passes.

        Args:
            quality: (n, 4) size, sharpness, yaw and value; NaN passes.
        """
        small, blurred = quality[:, 0] < self.size, quality[:, 1] < self.sharpness
        turned = np.abs(quality[:, 2]) > self.yaw
        # A value of exactly 0 is reserved for implausible landmarks.
        implausible = (quality[:, 3] == 0) & np.isfinite(quality[:, 0])
        flags = np.stack([small, blurred, turned], axis=1)
        words = ("too small", "blurred", "turned away")
        found = [", ".join(w for w, on in zip(words, row, strict=True) if on) for row in flags]
        nonsense = "landmarks that cannot be a face's or are cut off"
        return [
            why or (nonsense if lost else "") for why, lost in zip(found, implausible, strict=True)
        ]
