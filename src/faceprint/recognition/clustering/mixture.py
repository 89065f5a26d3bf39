"""Fit a mixture of two normal distributions to similarities, by expectation-maximization (EM).

The similarities of an album's pairs are a mixture: nearly all pairs are non-mated, a few are mated.
The lower half of the non-mated similarities need not be normal and decides nothing, so similarities
below a cut count by their number alone: EM fills in their mean and variance (censored data:
Dempster, Laird and Rubin 1977, section 4.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array

__all__ = ["TYPICAL_MATED", "Mixture", "fit_mixture", "mated_moments"]

TYPICAL_MATED = (5.5, 1.2)
"""Mean and standard deviation of mated similarities where an album says nothing about them, in
standard deviations of the non-mated ones above their mean."""

PRIOR_PAIRS = 25.0
"""The weight of `TYPICAL_MATED`, in mated pairs."""

_Floats = NDArray[np.float64]

_NORMAL = NormalDist()
_CUT = 0.5
_STARTS = (1e-4, 0.01, 0.05, 0.2, 0.4)
_MIN_PEAK = 2.0
"""At their mean, mated similarities are at least that many times as frequent as non-mated ones; a
smaller peak is the tail of the non-mated ones."""

_BINS, _ROUNDS = 400, 600
_PRECISION = 1e-5


@dataclass(frozen=True, slots=True)
class Mixture:
    """Mated and non-mated similarities.

    Attributes:
        non_mated_mean, non_mated_std: of the non-mated similarities.
        mated_mean, mated_std: of the mated ones.
        mated_share: of all pairs, 0..1.
    """

    non_mated_mean: float
    non_mated_std: float
    mated_mean: float
    mated_std: float
    mated_share: float


def fit_mixture(scores: Array) -> Mixture:
    """Fit the mixture to (p,) similarities of pairs, most of them non-mated.

    A weak prior (`TYPICAL_MATED`) stands in where there are hardly any mated pairs. EM starts from
    several shares, and the result with the highest likelihood counts.
    """
    lower, middle, upper = np.quantile(scores, [0.25, 0.5, 0.75]).tolist()
    # Many mated pairs widen the upper half; other models' similarities are skewed downwards.
    std = max(min(upper - middle, middle - lower) / _NORMAL.inv_cdf(0.75), 1e-6)
    cut = middle + _CUT * std
    above = scores[scores >= cut]
    heights, ends = np.histogram(above, _BINS, (cut, max(float(above.max()), cut + std)))
    counts, at = heights.astype(np.float64), (ends[1:] + ends[:-1]).astype(np.float64) / 2
    below = len(scores) - len(above)
    fits = []
    for share in _STARTS:
        mean = float(scores[scores >= np.quantile(scores, 1 - share)].mean())
        fit = Mixture(middle, std, mean, std, share)
        for _ in range(_ROUNDS):
            before, fit = fit, _em_step(at, counts, cut, below, fit)
            moved = abs(before.non_mated_mean - fit.non_mated_mean)
            moved = max(moved, abs(before.mated_mean - fit.mated_mean))
            change = abs(before.non_mated_std - fit.non_mated_std)
            if moved + change < _PRECISION * fit.non_mated_std:
                break
        fits.append(fit)
    with_peak = [fit for fit in fits if _peak(fit) >= _MIN_PEAK]
    best = max(with_peak or fits, key=lambda fit: _log_likelihood(at, counts, cut, below, fit))
    return best if with_peak else replace(best, mated_share=0.0)


def _peak(fit: Mixture) -> float:
    """How many times as frequent mated similarities are as non-mated ones, at their mean."""
    z = (fit.mated_mean - fit.non_mated_mean) / fit.non_mated_std
    mated = fit.mated_share / fit.mated_std
    return mated / max((1 - fit.mated_share) * math.exp(-0.5 * z * z) / fit.non_mated_std, 1e-300)


def _log_likelihood(at: _Floats, counts: _Floats, cut: float, below: int, fit: Mixture) -> float:
    """Without terms that all fits share, and without the prior."""
    non_mated, mated = _weighted_densities(at, fit)
    under = (1 - fit.mated_share) * _NORMAL.cdf((cut - fit.non_mated_mean) / fit.non_mated_std)
    both = non_mated + mated
    logs = float((counts * np.log(both / math.sqrt(2 * math.pi) + 1e-300)).sum())
    return logs + below * math.log(max(under, 1e-300))


def _em_step(at: _Floats, counts: _Floats, cut: float, below: int, fit: Mixture) -> Mixture:
    """One round of EM on a histogram, with so many pairs below the cut."""
    non_mated, mated = _weighted_densities(at, fit)
    mated_counts = counts * mated / (non_mated + mated + 1e-300)
    other_counts = counts - mated_counts
    # The expected mean and variance of the similarities below the cut.
    z = (cut - fit.non_mated_mean) / fit.non_mated_std
    slope = _NORMAL.pdf(z) / _NORMAL.cdf(z) if z > -6 else -z
    below_mean = fit.non_mated_mean - fit.non_mated_std * slope
    below_variance = fit.non_mated_std**2 * max(1 - z * slope - slope**2, 0.0)
    total = float(other_counts.sum()) + below
    mean = (float((other_counts * at).sum()) + below * below_mean) / total
    squares = float((other_counts * (at - mean) ** 2).sum())
    squares += below * (below_variance + (below_mean - mean) ** 2)
    std = max(math.sqrt(squares / total), 1e-6)
    mated_mean, mated_std = mated_moments(at, mated_counts, mean, std)
    share = float(mated_counts.sum()) / (float(counts.sum()) + below)
    return Mixture(mean, std, mated_mean, mated_std, share)


def mated_moments(
    scores: NDArray[np.floating],
    weights: NDArray[np.floating],
    non_mated_mean: float,
    non_mated_std: float,
) -> tuple[float, float]:
    """Mean and standard deviation of weighted mated similarities, with the prior."""
    prior_mean = non_mated_mean + TYPICAL_MATED[0] * non_mated_std
    prior_std = TYPICAL_MATED[1] * non_mated_std
    total = float(weights.sum()) + PRIOR_PAIRS
    mean = (float((weights * scores).sum()) + PRIOR_PAIRS * prior_mean) / total
    variance = float((weights * (scores - mean) ** 2).sum())
    variance += PRIOR_PAIRS * (prior_std**2 + (prior_mean - mean) ** 2)
    return mean, max(math.sqrt(variance / total), non_mated_std / 2)


def _weighted_densities(at: _Floats, fit: Mixture) -> tuple[_Floats, _Floats]:
    """Densities of both kinds times their shares, without the constant that cancels."""
    non_mated = _density(at, fit.non_mated_mean, fit.non_mated_std) * (1 - fit.mated_share)
    return non_mated, _density(at, fit.mated_mean, fit.mated_std) * fit.mated_share


def _density(at: _Floats, mean: float, std: float) -> _Floats:
    return np.asarray(np.exp(-0.5 * ((at - mean) / std) ** 2) / std)
