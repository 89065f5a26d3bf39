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
    check_threshold,
    known_points,
)
from faceprint.recognition.thresholds.saved_calibrations import (
    Models,
    calibration_for,
    matching_calibrations,
)
from faceprint.types import OperatingPoint

__all__ = ["Decision", "decide_by", "given_point", "model_points", "search_points"]


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
    if threshold is not None:
        if calibration is not None:
            raise UsageError("give calibration or threshold, not both")
        return Decision(given_point(threshold, fmr))
    _check_rate(fmr)
    known = model_points(models)
    saved = None
    if calibration is not None:
        saved = calibration_for(calibration, models)
        if not saved.points:
            raise UsageError(
                f"the calibration {calibration} has no operating point: it was measured on too "
                "few photographs; see its `refused`"
            )
    elif not known.points or known.provisional or not (fmr is None or _has(known.points, fmr)):
        saved = _matching_calibration(models, fmr)
    if saved is not None:
        known = KnownPoints(saved.points, "calibrated", models.embedder_card.id)
    return Decision(known.choose(fmr), saved)


def given_point(threshold: float, fmr: float | None = None) -> OperatingPoint:
    """The point of a threshold given by the caller.

    Raises:
        UsageError: it is no cosine similarity, or `fmr` is given too.
    """
    if fmr is not None:
        raise UsageError("give fmr or threshold, not both")
    check_threshold(threshold)
    return OperatingPoint(threshold, name="given", source="given by the caller", evidence="given")


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


def _matching_calibration(models: Models, fmr: float | None) -> CalibrationFile | None:
    """The saved calibration of these models with a point at this rate; without a rate, any."""
    rate = DEFAULT_FMR if fmr is None else fmr
    usable = [saved for saved in matching_calibrations(models) if saved.points]
    with_rate = [saved for saved in usable if _has(saved.points, rate)]
    if with_rate:
        return _only(with_rate, f"have a point at FMR {rate:g}")
    if usable and fmr is None:
        return _only(usable, "were measured with these models")
    return None


def _only(calibrations: list[CalibrationFile], what: str) -> CalibrationFile:
    if len(calibrations) > 1:
        names = ", ".join(found.name for found in calibrations)
        raise UsageError(f"several calibrations {what}; say which: {names}")
    return calibrations[0]


def _has(points: Sequence[OperatingPoint], fmr: float) -> bool:
    return any(p.fmr is not None and math.isclose(p.fmr, fmr, rel_tol=1e-6) for p in points)


def _check_rate(fmr: float | None) -> None:
    if fmr is not None and not 0 < fmr < 1:
        raise UsageError(f"fmr is {fmr}; a rate lies between 0 and 1, as 1e-3")
