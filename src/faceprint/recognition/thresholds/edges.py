"""A false match rate as a threshold: a model's operating points, carried to where it was asked for.

Verification decides one pair; an album of n faces decides n (n - 1) / 2, nearly all of them of two
people, so it needs a rarer false match than any protocol of a few thousand pairs can measure.
Similarities of two people are close to a normal distribution in their upper tail, so thresholds
are a straight line over the normal quantile of the false match rate (a probit plot); the two
strictest measured points give the line. docs/decisions/0006-clustering.md has what this came to.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from faceprint.errors import UsageError
from faceprint.types import OperatingPoint

__all__ = ["CLUSTER_FMR", "clustering_point"]

CLUSTER_FMR = 5e-5
"""False match rate of a pair at which two groups are one person, by their mean similarity."""


def clustering_point(
    points: Sequence[OperatingPoint], *, fmr: float = CLUSTER_FMR
) -> OperatingPoint | None:
    """The threshold for clustering from measured points; None when fewer than two have an FMR.

    Raises:
        UsageError: `fmr` outside 0..0.5.
    """
    if not 0 < fmr < 0.5:
        raise UsageError(f"fmr is {fmr}; clustering needs a rate between 0 and 0.5, as 1e-4")
    strictest: dict[float, float] = {}
    for point in points:
        # Where the detector is not known, points of several come with the same rate.
        if point.fmr and 0 < point.fmr < 0.5:
            strictest[point.fmr] = max(point.threshold, strictest.get(point.fmr, -1.0))
    known = sorted(strictest.items())
    if len(known) < 2:
        return None
    rates, thresholds = zip(*known, strict=True)
    z = np.array([-NormalDist().inv_cdf(rate) for rate in rates])
    wanted = -NormalDist().inv_cdf(fmr)
    if z[-1] <= wanted <= z[0]:
        value = float(np.interp(wanted, z[::-1], thresholds[::-1]))
    else:
        near, next_ = (0, 1) if wanted > z[0] else (-1, -2)
        slope = (thresholds[near] - thresholds[next_]) / (z[near] - z[next_])
        value = thresholds[near] + slope * (wanted - z[near])
    source = next((point.source for point in points if point.source), "")
    return OperatingPoint(
        min(1.0, float(value)),
        fmr=fmr,
        name="clustering",
        source=f"carried on from what was {source or 'measured'}",
    )
