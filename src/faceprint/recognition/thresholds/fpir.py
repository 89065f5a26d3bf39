"""The threshold of a 1:N search for a target FPIR; it grows with the gallery.

A stranger who is compared with N subjects, each comparison at the same false match rate, matches
somebody with probability FPIR = 1 - (1 - FMR)^N if the comparisons are independent (ISO/IEC
19795-1; Grother and Ngan, NISTIR 8009), so a target needs FMR = 1 - (1 - FPIR)^(1/N). N counts
templates, since each is compared. Comparisons are not quite independent, and the FPIR found may be
above or below the target: a subject's templates resemble each other, so fewer strangers match; and
some people resemble many others, so more strangers match.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.operating_points import KnownPoints
from faceprint.types import OperatingPoint

__all__ = ["DEFAULT_FPIR", "MAX_EXTRAPOLATION", "fmr_for_fpir", "fpir_point", "search_point"]

DEFAULT_FPIR = 1e-2
"""The default FPIR: 1 in 100 strangers matches somebody."""

MAX_EXTRAPOLATION = 100.0
"""How many times stricter than the strictest measured FMR a threshold may be extrapolated."""


def fmr_for_fpir(fpir: float, comparisons: int) -> float:
    """The false match rate that gives this FPIR over so many independent comparisons.

    Raises:
        UsageError: `fpir` is not between 0 and 1.
    """
    if not 0 < fpir < 1:
        raise UsageError(f"fpir is {fpir}; a rate lies between 0 and 1, as 1e-2")
    return -math.expm1(math.log1p(-fpir) / max(comparisons, 1))


def fpir_point(
    points: Sequence[OperatingPoint], comparisons: int, fpir: float | None = None, *, model: str
) -> OperatingPoint:
    """The operating point of a search among so many templates.

    Between measured points the threshold is interpolated on the logarithm of the FMR. Where a
    looser point than the loosest would do, the loosest decides. Beyond the strictest it is
    extrapolated along a straight line, up to `MAX_EXTRAPOLATION` times stricter; the non-mated
    similarities fall off faster than exponentially there, so the line errs on the strict side. An
    extrapolated point has no `fmr`, since nobody measured it; its `fmr_high` is the upper bound of
    the strictest measured point.

    Args:
        points: those without an FMR are skipped.
        fpir: None for `DEFAULT_FPIR`.
        model: the embedder's id, for messages.

    Raises:
        UsageError: there is no measured point, or none near enough to the FMR needed.
    """
    target = DEFAULT_FPIR if fpir is None else fpir
    fmr = fmr_for_fpir(target, comparisons)
    curve = sorted({p.fmr: p for p in points if p.fmr}.items(), reverse=True)
    if not curve:
        raise UsageError(
            f"no operating point was measured for {model}, so no threshold is known for an FPIR; "
            "give --threshold, or measure points on your own photographs: faceprint calibrate"
        )
    strictest = curve[-1][1]
    # Loosest first. A stricter point with a lower threshold is noise: take the higher threshold.
    logs = np.log([rate for rate, _ in curve])
    thresholds = np.maximum.accumulate([point.threshold for _, point in curve])
    name = f"FPIR {target:g} among {_templates(comparisons)}"
    if fmr >= curve[-1][0] * (1 - 1e-9):
        value = float(np.interp(-math.log(fmr), -logs, thresholds))
        high = [p.fmr_high for _, p in curve if p.fmr_high]
        bound = None
        if len(high) == len(curve):
            bound = float(np.exp(np.interp(-math.log(fmr), -logs, np.log(high))))
        rate = min(fmr, curve[0][0])
        return OperatingPoint(
            value,
            rate,
            fmr_high=bound,
            name=name,
            source=strictest.source,
            evidence=strictest.evidence,
            fpir=target,
            templates=comparisons,
        )
    if len(curve) < 2 or fmr < curve[-1][0] / MAX_EXTRAPOLATION:
        raise UsageError(_too_strict(target, comparisons, fmr, curve[-1][0], len(curve), model))
    slope = _slope(logs, thresholds)
    value = min(1.0, float(thresholds[-1] + slope * (logs[-1] - math.log(fmr))))
    return OperatingPoint(
        value,
        fmr_high=strictest.fmr_high or curve[-1][0],
        name=f"{name}, extrapolated from FMR {curve[-1][0]:g} to {fmr:.2g}",
        source=f"{strictest.source} (extrapolated)".strip(),
        evidence=strictest.evidence,
        fpir=target,
        templates=comparisons,
    )


def search_point(known: KnownPoints, comparisons: int, fpir: float | None = None) -> OperatingPoint:
    """`fpir_point` for a pair of models, without rates that were measured with another pair.

    A published threshold does not grow with the gallery: it decides when no FPIR is asked for, and
    its name says that it was not measured for a search.

    Raises:
        UsageError: as `fpir_point`; or an FPIR was asked for and only a published threshold exists.
    """
    if known.evidence == "published" and fpir is None:
        point = known.choose()
        words = f"published for 1:1, not measured for a search among {_templates(comparisons)}"
        return replace(point, name=f"{point.name}, {words}".removeprefix(", "))
    if not known.points:
        raise UsageError(known.missing())
    if known.evidence == "published":
        raise UsageError(f"an FPIR needs measured false match rates: {known.missing()}")
    return known.stated(fpir_point(known.points, comparisons, fpir, model=known.model))


def _templates(count: int) -> str:
    return f"{count} template{'s' * (count != 1)}"


def _slope(logs: np.ndarray, thresholds: np.ndarray) -> float:
    """How much the threshold rises per unit of -log FMR at the strict end, erring upwards."""
    # The last step rests on few false matches; a slope over two decades is steadier.
    far = int(np.argmax(logs <= logs[-1] + math.log(100) * (1 + 1e-9)))
    near = (thresholds[-1] - thresholds[-2]) / (logs[-2] - logs[-1])
    steady = near
    if far < len(logs) - 1:
        steady = (thresholds[-1] - thresholds[far]) / (logs[far] - logs[-1])
    return float(max(near, steady))


def _too_strict(
    fpir: float, comparisons: int, fmr: float, strictest: float, count: int, model: str
) -> str:
    reach = strictest if count < 2 else strictest / MAX_EXTRAPOLATION
    largest = math.floor(math.log1p(-fpir) / math.log1p(-reach))
    return (
        f"FPIR {fpir:g} among {_templates(comparisons)} needs FMR {fmr:.2g}; the strictest "
        f"measured for {model} is {strictest:g}, which serves {largest} templates at this FPIR. "
        "Give --threshold or a looser --fpir, or calibrate with more people"
    )
