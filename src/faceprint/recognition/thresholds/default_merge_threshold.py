"""The default merge threshold: the similarity that makes faces of an album one person.

In this order: a given threshold; the operating points measured for these models; what the album
itself shows; borrowed points or a published threshold. A false match rate that no protocol measured
is reached by extrapolation: non-mated similarities are close to a normal distribution in their
upper tail, so thresholds are a straight line over the normal quantile of the FMR (a probit plot).
docs/decisions/0006-clustering.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from faceprint.errors import UnknownModelError, UsageError
from faceprint.recognition.thresholds.merge_threshold import (
    MergeThreshold,
    ScoreDistributions,
    score_distributions,
)
from faceprint.recognition.thresholds.operating_points import KnownPoints, known_points
from faceprint.types import OperatingPoint
from faceprint.zoo.catalog import get_card

__all__ = [
    "CLUSTER_FMR",
    "album_points",
    "check_fmr",
    "default_merge_threshold",
    "extrapolated_point",
]

CLUSTER_FMR = 5e-5
"""False match rate of a pair at which two groups are one person, by their mean similarity."""


def default_merge_threshold(
    known: KnownPoints,
    faces: int,
    fmr: float | None,
    *,
    estimate: Callable[[], ScoreDistributions | None],
) -> MergeThreshold:
    """The merge threshold with the best evidence.

    If the detector is unknown, borrowed points go before the album's own distributions.

    Args:
        known: from `album_points`.
        faces: their number.
        fmr: use the threshold at this false match rate for groups of every size.
        estimate: the distributions that the album itself shows; None if it is too small. Called
            only if no measured points decide.

    Raises:
        UsageError: nothing leads to a threshold, or no point has this rate.
    """
    if not (known.provisional and known.detector):
        found = _from_points(known, faces, fmr)
        if found is not None:
            return found
    own = estimate()
    if own is not None:
        if fmr is None:
            return replace(own.merge_threshold(faces), evidence="album")
        return MergeThreshold.constant(own.threshold_at(fmr), own.source, "album")
    if known.points:
        found = _from_points(known, faces, fmr)
        if found is not None:
            return found
        point, evidence = known.choose(fmr), known.evidence or ""
        words = f"{point.name}, {point.source}" if evidence == "published" else point.source
        return MergeThreshold.constant(point.threshold, words, evidence)
    raise UsageError(f"{known.missing()}; the album is too small to estimate a threshold from")


def album_points(embedder: str, detector: str, *, aligned: bool) -> KnownPoints:
    """The points known for the models that made an album's embeddings.

    Args:
        embedder: its card id; a model without a card has no points.
        detector: its card id; empty when it is unknown.
        aligned: False if no face had landmarks; measured thresholds then do not hold.
    """
    try:
        known = known_points(get_card(embedder), detector)
    except UnknownModelError:
        return KnownPoints((), None, embedder or "these embeddings")
    if not detector and known.evidence is not None and not aligned:
        reason = " with faces that were aligned from their boxes"
        return KnownPoints((), None, known.model, reason=reason)
    return known


def check_fmr(fmr: float) -> None:
    """Refuse a false match rate that clustering can't use.

    Raises:
        UsageError: outside 0..0.5.
    """
    if not 0 < fmr < 0.5:
        raise UsageError(f"fmr is {fmr}; clustering needs a rate between 0 and 0.5, as 1e-4")


def extrapolated_point(
    points: Sequence[OperatingPoint], *, fmr: float = CLUSTER_FMR
) -> OperatingPoint | None:
    """The point at this FMR, interpolated or extrapolated; None if fewer than two have an FMR.

    Raises:
        UsageError: `fmr` outside 0..0.5.
    """
    check_fmr(fmr)
    strictest: dict[float, float] = {}
    for point in points:
        # If the detector is unknown, there are points of several detectors at the same rate.
        if point.fmr and 0 < point.fmr < 0.5:
            strictest[point.fmr] = max(point.threshold, strictest.get(point.fmr, -1.0))
    known = sorted(strictest.items())
    if len(known) < 2:
        return None
    rates, thresholds = zip(*known, strict=True)
    z = np.array([-NormalDist().inv_cdf(rate) for rate in rates])
    target = -NormalDist().inv_cdf(fmr)
    if z[-1] <= target <= z[0]:
        value = float(np.interp(target, z[::-1], thresholds[::-1]))
    else:
        near, next_ = (0, 1) if target > z[0] else (-1, -2)
        slope = (thresholds[near] - thresholds[next_]) / (z[near] - z[next_])
        value = thresholds[near] + slope * (target - z[near])
    source = next((point.source for point in points if point.source), "")
    return OperatingPoint(
        min(1.0, float(value)),
        fmr=fmr,
        name="clustering",
        source=f"carried on from what was {source or 'measured'}",
    )


def _from_points(known: KnownPoints, faces: int, fmr: float | None) -> MergeThreshold | None:
    """From points with both error rates at two thresholds or more; else from their FMR alone."""
    evidence = known.evidence or ""
    distributions = score_distributions(known.points)
    if fmr is None and distributions is not None:
        if known.evidence == "borrowed":
            distributions = replace(distributions, source=f"measured with others: {known.words}")
        return replace(distributions.merge_threshold(faces), evidence=evidence)
    point = extrapolated_point(known.points, fmr=CLUSTER_FMR if fmr is None else fmr)
    if point is None:
        return None
    stated = known.stated(point)
    return MergeThreshold.constant(stated.threshold, stated.source, evidence)
