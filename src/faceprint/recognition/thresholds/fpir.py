"""The threshold of a search: it must grow with the gallery.

A stranger who is compared with N subjects, each comparison at the same false match rate, meets
somebody with probability FPIR = 1 - (1 - FMR)^N if the comparisons are independent (ISO/IEC
19795-1; Grother and Ngan, NISTIR 8009), so a target asks for FMR = 1 - (1 - FPIR)^(1/N). N counts
templates, as each is compared. Comparisons are not quite independent, which works both ways: a
subject's templates resemble one another, so that fewer strangers are taken for somebody; a gallery
or a stranger may be of people who resemble many others, so that more are. What is found therefore
lies on either side of what was asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.operating_points import KnownPoints
from faceprint.types import OperatingPoint

__all__ = [
    "BEYOND",
    "DEFAULT_FPIR",
    "fmr_for_fpir",
    "fpir_for_fmr",
    "fpir_point",
    "search_point",
]

DEFAULT_FPIR = 1e-2
"""1 in 100 strangers is taken for somebody, when nothing else is said."""

BEYOND = 100.0
"""How many times stricter than the strictest measured FMR a threshold may be extrapolated."""


def fmr_for_fpir(fpir: float, comparisons: int) -> float:
    """The false match rate that gives this FPIR over so many independent comparisons.

    Raises:
        UsageError: `fpir` is not between 0 and 1.
    """
    if not 0 < fpir < 1:
        raise UsageError(f"fpir is {fpir}; a rate lies between 0 and 1, as 1e-2")
    return -math.expm1(math.log1p(-fpir) / max(comparisons, 1))


def fpir_for_fmr(fmr: float, comparisons: int) -> float:
    """The share of strangers that meet somebody in so many independent comparisons."""
    return 1.0 if fmr >= 1 else -math.expm1(max(comparisons, 1) * math.log1p(-fmr))


def fpir_point(
    points: Sequence[OperatingPoint], comparisons: int, fpir: float | None = None, *, model: str
) -> OperatingPoint:
    """The operating point of a search among so many templates, from measured ones.

    Between measured points the threshold is interpolated on the logarithm of the FMR; where a
    gallery is so small that a looser one would do, the loosest decides. Beyond the strictest it is
    extrapolated along a straight line, up to `BEYOND` times stricter: similarities of different
    people thin out faster than exponentially there, so that the line errs on the strict side. Such
    a point has no `fmr`, since nobody measured it; `fmr_high` is then what is known: the upper
    bound of the strictest point that was measured.

    Args:
        points: with their FMR; others are passed over.
        fpir: None for `DEFAULT_FPIR`.
        model: the embedder's id, for messages.

    Raises:
        UsageError: nothing was measured, or nothing near enough to the FMR needed.
    """
    wanted = DEFAULT_FPIR if fpir is None else fpir
    fmr = fmr_for_fpir(wanted, comparisons)
    curve = sorted({p.fmr: p for p in points if p.fmr}.items(), reverse=True)
    if not curve:
        raise UsageError(
            f"no operating point was measured for {model}, so no threshold is known for an FPIR; "
            "give --threshold, or measure points on your own photographs: faceprint calibrate"
        )
    strictest = curve[-1][1]
    # Loosest first. A stricter point with a lower threshold is noise: the higher one is taken.
    logs = np.log([rate for rate, _ in curve])
    thresholds = np.maximum.accumulate([point.threshold for _, point in curve])
    name = f"FPIR {wanted:g} among {_templates(comparisons)}"
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
        )
    if len(curve) < 2 or fmr < curve[-1][0] / BEYOND:
        raise UsageError(_too_strict(wanted, comparisons, fmr, curve[-1][0], len(curve), model))
    slope = _slope(logs, thresholds)
    value = min(1.0, float(thresholds[-1] + slope * (logs[-1] - math.log(fmr))))
    return OperatingPoint(
        value,
        fmr_high=strictest.fmr_high or curve[-1][0],
        name=f"{name}, extrapolated from FMR {curve[-1][0]:g} to {fmr:.2g}",
        source=f"{strictest.source} (extrapolated)".strip(),
        evidence=strictest.evidence,
    )


def search_point(known: KnownPoints, comparisons: int, fpir: float | None = None) -> OperatingPoint:
    """`fpir_point` from what is known of a pair, with no rate that this pair was not measured at.

    From borrowed points it is provisional. A published threshold cannot grow with the gallery: it
    decides where no FPIR was asked for, and its name says that nobody measured it for a search.

    Raises:
        UsageError: as `fpir_point`; an FPIR was asked for and there is a published threshold alone.
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
    """By how much the threshold rises a unit of -log FMR at the strict end, in doubt too much."""
    # The last step rests on few false matches; one over two decades steadies it.
    far = int(np.argmax(logs <= logs[-1] + math.log(100) * (1 + 1e-9)))
    near = (thresholds[-1] - thresholds[-2]) / (logs[-2] - logs[-1])
    steady = near
    if far < len(logs) - 1:
        steady = (thresholds[-1] - thresholds[far]) / (logs[far] - logs[-1])
    return float(max(near, steady))


def _too_strict(
    fpir: float, comparisons: int, fmr: float, strictest: float, count: int, model: str
) -> str:
    reach = strictest if count < 2 else strictest / BEYOND
    largest = math.floor(math.log1p(-fpir) / math.log1p(-reach))
    return (
        f"FPIR {fpir:g} among {_templates(comparisons)} needs FMR {fmr:.2g}; the strictest "
        f"measured for {model} is {strictest:g}, which serves {largest} templates at this FPIR. "
        "Give --threshold or a looser --fpir, or calibrate with more people"
    )
