"""The default threshold rule: which operating point decides a comparison or a search.

In this order: what the caller gave; the card's points for this embedder and detector; the user's
saved calibration of these models; borrowed points or a published threshold, which are provisional.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.operating_points import (
    DEFAULT_FMR,
    KnownPoints,
    known_points,
)
from faceprint.recognition.thresholds.saved_calibrations import (
    Models,
    calibration_for,
    matching_calibrations,
)
from faceprint.types import OperatingPoint
from faceprint.zoo.card import ModelCard

__all__ = ["Decision", "choose_point", "decide_by", "model_points", "search_points"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The point that decides, and the calibration that it comes from, if any."""

    point: OperatingPoint
    calibration: CalibrationFile | None = None


def decide_by(
    models: Models,
    *,
    fmr: float | None = None,
    threshold: float | None = None,
    calibration: str | None = None,
) -> Decision:
    """Choose the operating point for a comparison.

    A named calibration; else the card's points for this embedder and detector; else the one saved
    calibration of these models that has a point at `fmr`; else what `known_points` falls back on, a
    borrowed or published threshold, which is provisional.

    Raises:
        UsageError: no calibration of that name, no point at `fmr`, several calibrations match, or
            a threshold together with another rule.
        ModelMismatchError: the named calibration was measured with other models.
    """
    card, detector = models.embedder_card, models.detector_card
    if calibration is not None:
        if threshold is not None:
            raise UsageError("give calibration or threshold, not both")
        chosen = calibration_for(calibration, models)
        if not chosen.points:
            raise UsageError(
                f"the calibration {calibration} has no operating point: it was measured on too "
                "few photographs; see its `refused`"
            )
        return Decision(choose_point(card, detector, fmr=fmr, calibrated=chosen.points), chosen)
    if threshold is not None or (fmr is not None and not 0 < fmr < 1):
        return Decision(choose_point(card, detector, fmr=fmr, threshold=threshold))
    known = model_points(models)
    if known.points and not known.provisional and (fmr is None or _has(known.points, fmr)):
        return Decision(known.choose(fmr))
    rate = DEFAULT_FMR if fmr is None else fmr
    usable = [saved for saved in matching_calibrations(models) if saved.points]
    with_rate = [saved for saved in usable if _has(saved.points, rate)]
    if with_rate:
        saved = _only(with_rate, f"have a point at FMR {rate:g}")
        return Decision(choose_point(card, detector, fmr=rate, calibrated=saved.points), saved)
    if usable and fmr is None:
        saved = _only(usable, "were measured with these models")
        return Decision(choose_point(card, detector, calibrated=saved.points), saved)
    return Decision(known.choose(fmr))


def choose_point(
    card: ModelCard,
    detector: ModelCard | str,
    *,
    fmr: float | None = None,
    threshold: float | None = None,
    calibrated: Sequence[OperatingPoint] | None = None,
) -> OperatingPoint:
    """Choose the operating point for an embedder and a detector, saved calibrations aside.

    Args:
        fmr: a false match rate that was measured for this model.
        threshold: a cosine similarity given by the caller; 0.0 counts.
        calibrated: points of the user's own calibration, used instead of the card's.

    Raises:
        UsageError: both are given, one is out of range, or there is no point at that rate.
    """
    if threshold is not None:
        if fmr is not None:
            raise UsageError("give fmr or threshold, not both")
        if not (math.isfinite(threshold) and -1 <= threshold <= 1):
            raise UsageError(f"threshold is {threshold}; a cosine similarity lies in -1..1")
        return OperatingPoint(
            threshold, name="given", source="given by the caller", evidence="given"
        )
    if fmr is not None and not 0 < fmr < 1:
        raise UsageError(f"fmr is {fmr}; a rate lies between 0 and 1, as 1e-3")
    if calibrated is not None:
        return KnownPoints(tuple(calibrated), "calibrated", card.id).choose(fmr)
    return known_points(card, detector).choose(fmr)


def model_points(models: Models) -> KnownPoints:
    """What the embedder's card says about these models; see `known_points`."""
    return known_points(models.embedder_card, models.detector_card, mirrored=bool(models.mirror))


def search_points(models: Models) -> KnownPoints:
    """The points that a search uses: a saved calibration goes before provisional points.

    Raises:
        UsageError: several calibrations match.
    """
    known = model_points(models)
    if known.points and not known.provisional:
        return known
    usable = [saved for saved in matching_calibrations(models) if saved.points]
    if not usable:
        return known
    saved = _only(usable, "were measured with these models")
    return KnownPoints(saved.points, "calibrated", known.model, known.detector)


def _only(calibrations: list[CalibrationFile], what: str) -> CalibrationFile:
    if len(calibrations) > 1:
        names = ", ".join(found.name for found in calibrations)
        raise UsageError(f"several calibrations {what}; say which: {names}")
    return calibrations[0]


def _has(points: Sequence[OperatingPoint], fmr: float) -> bool:
    return any(p.fmr is not None and math.isclose(p.fmr, fmr, rel_tol=1e-6) for p in points)
