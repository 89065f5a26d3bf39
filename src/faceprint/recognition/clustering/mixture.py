"""Two normal distributions that lie on top of each other, told apart by expectation-maximization.

The similarities of an album's pairs are a mixture: nearly all pairs are of two people (non-mated),
a few of one (mated). Below the middle the non-mated similarities need not be normal, and what is
there decides nothing, so that those below a cut count by their number alone: EM fills in their mean
and variance (censored data: Dempster, Laird and Rubin 1977, section 4.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array

__all__ = ["TYPICAL", "Mixture", "fit_mixture"]

TYPICAL = (5.5, 1.2)
"""Mean and spread of mated similarities where an album says nothing of them, in standard deviations
of the non-mated ones above their mean."""

PRIOR_PAIRS = 25.0
"""The weight of `TYPICAL`, in mated pairs."""

_NORMAL = NormalDist()
_CUT = 0.5
_STARTS = (1e-4, 0.01, 0.05, 0.2, 0.4)
_STANDS_OUT = 2.0
"""Where mated similarities are most frequent they are that many times as frequent as non-mated ones
of the same height; a smaller bump is the non-mated ones' own tail."""

_BINS, _ROUNDS = 400, 600
_PRECISION = 1e-5


@dataclass(frozen=True, slots=True)
class Mixture:
    """Non-mated and mated similarities.

    Attributes:
        origin, step: mean and standard deviation of the non-mated ones.
        mean, spread: of the mated ones.
        share: of all pairs that are mated, 0..1.
    """

    origin: float
    step: float
    mean: float
    spread: float
    share: float


def fit_mixture(scores: Array) -> Mixture:
    """The mixture of (p,) similarities of pairs, most of them non-mated.

    A weak prior (`TYPICAL`, as so many pairs) stands in where there are hardly any mated pairs. Of
    several starts the likeliest outcome counts.
    """
    lower, middle, upper = np.quantile(scores, [0.25, 0.5, 0.75]).tolist()
    # Many mated pairs widen the upper half; others' similarities may be skewed to the lower side.
    step = max(min(upper - middle, middle - lower) / _NORMAL.inv_cdf(0.75), 1e-6)
    cut = middle + _CUT * step
    above = scores[scores >= cut]
    heights, ends = np.histogram(above, _BINS, (cut, max(float(above.max()), cut + step)))
    counts, at = heights.astype(np.float64), (ends[1:] + ends[:-1]).astype(np.float64) / 2
    below = len(scores) - len(above)
    found = []
    for share in _STARTS:
        mean = float(scores[scores >= np.quantile(scores, 1 - share)].mean())
        known = Mixture(middle, step, mean, step, share)
        for _ in range(_ROUNDS):
            before, known = known, _improved(at, counts, cut, below, known)
            moved = max(abs(before.origin - known.origin), abs(before.mean - known.mean))
            if moved + abs(before.step - known.step) < _PRECISION * known.step:
                break
        found.append(known)
    risen = [one for one in found if _rise(one) >= _STANDS_OUT]
    best = max(risen or found, key=lambda one: _likelihood(at, counts, cut, below, one))
    return best if risen else replace(best, share=0.0)


def _rise(known: Mixture) -> float:
    """How many times as frequent mated similarities are as non-mated ones, at their mean."""
    z = (known.mean - known.origin) / known.step
    mated = known.share / known.spread
    return mated / max((1 - known.share) * math.exp(-0.5 * z * z) / known.step, 1e-300)


def _likelihood(
    at: NDArray[np.float64], counts: NDArray[np.float64], cut: float, below: int, known: Mixture
) -> float:
    """Its logarithm, less what is the same for all; the prior is left out."""
    both = _density(at, known.origin, known.step) * (1 - known.share)
    both += _density(at, known.mean, known.spread) * known.share
    under = (1 - known.share) * _NORMAL.cdf((cut - known.origin) / known.step)
    logs = float((counts * np.log(both / math.sqrt(2 * math.pi) + 1e-300)).sum())
    return logs + below * math.log(max(under, 1e-300))


def _improved(
    at: NDArray[np.float64], counts: NDArray[np.float64], cut: float, below: int, known: Mixture
) -> Mixture:
    """One round of EM on a histogram, with so many pairs below the cut."""
    non_mated = _density(at, known.origin, known.step) * (1 - known.share)
    mated = _density(at, known.mean, known.spread) * known.share
    of_one = counts * mated / (non_mated + mated + 1e-300)
    of_two = counts - of_one
    # The expected mean and variance of what lies below the cut.
    z = (cut - known.origin) / known.step
    slope = _NORMAL.pdf(z) / _NORMAL.cdf(z) if z > -6 else -z
    its_mean = known.origin - known.step * slope
    its_variance = known.step**2 * max(1 - z * slope - slope**2, 0.0)
    total = float(of_two.sum()) + below
    origin = (float((of_two * at).sum()) + below * its_mean) / total
    squares = float((of_two * (at - origin) ** 2).sum())
    squares += below * (its_variance + (its_mean - origin) ** 2)
    step = max(math.sqrt(squares / total), 1e-6)
    mean, spread = mated_part(at, of_one, origin, step)
    return Mixture(origin, step, mean, spread, float(of_one.sum()) / (float(counts.sum()) + below))


def mated_part(
    scores: NDArray[np.floating], weights: NDArray[np.floating], origin: float, step: float
) -> tuple[float, float]:
    """Mean and spread of weighted similarities, with the prior of what is typical."""
    usual, usual_spread = origin + TYPICAL[0] * step, TYPICAL[1] * step
    total = float(weights.sum()) + PRIOR_PAIRS
    mean = (float((weights * scores).sum()) + PRIOR_PAIRS * usual) / total
    variance = float((weights * (scores - mean) ** 2).sum())
    variance += PRIOR_PAIRS * (usual_spread**2 + (usual - mean) ** 2)
    return mean, max(math.sqrt(variance / total), step / 2)


def _density(at: NDArray[np.float64], mean: float, spread: float) -> NDArray[np.float64]:
    """The normal density without the constant that cancels."""
    return np.asarray(np.exp(-0.5 * ((at - mean) / spread) ** 2) / spread)
