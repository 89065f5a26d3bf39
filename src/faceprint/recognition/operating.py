"""Which threshold decides, and on what evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from faceprint.errors import UsageError
from faceprint.types import OperatingPoint
from faceprint.zoo.card import ModelCard

__all__ = ["DEFAULT_FMR", "choose_point", "measured_points"]

DEFAULT_FMR = 1e-3
"""The false match rate that decides when nothing else is said: 1 in 1,000 non-mated pairs."""


def measured_points(card: ModelCard, detector: str) -> tuple[OperatingPoint, ...]:
    """The card's points for this detector's alignment; those of another one when there are none."""
    own = tuple(entry.point for entry in card.operating_points if entry.detector == detector)
    return own or tuple(entry.point for entry in card.operating_points)


def choose_point(
    card: ModelCard,
    detector: str,
    *,
    fmr: float | None = None,
    threshold: float | None = None,
    calibrated: Sequence[OperatingPoint] | None = None,
) -> OperatingPoint:
    """The operating point that decides.

    Args:
        fmr: false match rate, one that was measured for this model.
        threshold: cosine similarity given by the caller; 0.0 counts.
        calibrated: points of the user's own calibration, which stand in for the card's.

    Raises:
        UsageError: both are given, or out of range, or nothing was measured for what was asked.
    """
    if threshold is not None:
        if fmr is not None:
            raise UsageError("give fmr or threshold, not both")
        if not (math.isfinite(threshold) and -1 <= threshold <= 1):
            raise UsageError(f"threshold is {threshold}; a cosine similarity lies in -1..1")
        return OperatingPoint(threshold, name="given", source="given by the caller")
    if fmr is not None and not 0 < fmr < 1:
        raise UsageError(f"fmr is {fmr}; a rate lies between 0 and 1, as 1e-3")
    points = measured_points(card, detector) if calibrated is None else tuple(calibrated)
    wanted = DEFAULT_FMR if fmr is None else fmr
    for point in points:
        if point.fmr is not None and math.isclose(point.fmr, wanted, rel_tol=1e-6):
            return point
    if fmr is None and points:
        return points[0]
    if not points:
        raise UsageError(
            f"no threshold was measured for {card.id}; give --threshold, or measure one on your "
            "own photographs: faceprint calibrate"
        )
    known = ", ".join(f"{point.fmr:g}" for point in points if point.fmr is not None) or "none"
    raise UsageError(
        f"no threshold was measured for {card.id} at FMR {fmr:g}; there are: {known}. "
        "faceprint calibrate measures more on your own photographs"
    )
