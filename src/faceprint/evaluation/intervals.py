"""What a count of errors allows to be said: intervals, and "at most" where a number would be a lie.

Two rules of thumb of ISO/IEC 19795-1 decide. The rule of 3: no error in N trials shows, at 95 %,
that the rate is at most 3 / N. The rule of 30 (Doddington et al. 2000): only from 30 errors on is
the rate known to within 30 % of itself, at 90 %; with fewer, an upper bound is all there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from faceprint.errors import UsageError

__all__ = ["RULE_OF_3", "RULE_OF_30", "Rate", "measured_rate", "share", "upper_bound", "wilson"]

RULE_OF_3 = 3
RULE_OF_30 = 30


@dataclass(frozen=True, slots=True)
class Rate:
    """An error rate together with what its trials can support.

    Attributes:
        errors, trials: the counts.
        low, high: the interval; from 0 to the upper bound when the rate is only bounded.
        value: errors / trials, None when the errors are too few for a number.
        statement: the same in a sentence.
    """

    errors: int
    trials: int
    low: float
    high: float
    value: float | None
    statement: str

    @property
    def observed(self) -> float:
        """errors / trials whatever the support, for drawing; NaN without trials."""
        return self.errors / self.trials if self.trials else math.nan


def wilson(errors: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion of independent trials (Wilson 1927).

    Raises:
        UsageError: counts or confidence that cannot be.
    """
    _check(errors, trials, confidence)
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = errors / trials
    scale = 1 + z * z / trials
    middle = (p + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    low = 0.0 if errors == 0 else max(0.0, middle - half)
    high = 1.0 if errors == trials else min(1.0, middle + half)
    return low, high


def upper_bound(errors: int, trials: int, confidence: float = 0.95) -> float:
    """The exact one-sided upper bound of a proportion (Clopper and Pearson 1934).

    The rate at which so few errors would be seen with probability 1 - confidence; without errors
    it is 1 - (1 - confidence)^(1 / trials), the rule of 3.

    Raises:
        UsageError: counts or confidence that cannot be.
    """
    _check(errors, trials, confidence)
    if errors == trials:
        return 1.0
    k = np.arange(errors + 1, dtype=np.float64)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((trials - k[:-1]) / (k[:-1] + 1)))])
    low, high = errors / trials, 1.0
    for _ in range(60):
        p = (low + high) / 2
        if p in (low, high):
            break
        terms = log_choose + k * math.log(p) + (trials - k) * math.log1p(-p)
        if np.logaddexp.reduce(terms) > math.log(1 - confidence):
            low = p
        else:
            high = p
    return high


def measured_rate(
    errors: int,
    trials: int,
    *,
    confidence: float = 0.95,
    interval: tuple[float, float] | None = None,
    independent: int | None = None,
) -> Rate:
    """The rate as a number with its interval, or as an upper bound when errors are too few.

    Args:
        interval: one that was found by other means, as the bootstrap over people; Wilson's else.
        independent: errors that have nothing to do with one another (no person in two of them),
            when fewer than `errors`; the rule of 30 counts these.

    Raises:
        UsageError: counts or confidence that cannot be.
    """
    _check(errors, trials, confidence)
    percent = f"{100 * confidence:g} %"
    if trials == 0:
        return Rate(0, 0, 0.0, 1.0, None, "no trials: nothing can be said")
    told = f"{errors:,} in {trials:,} trials"
    counted = errors if independent is None else min(errors, independent)
    if counted < RULE_OF_30:
        high = upper_bound(errors, trials, confidence)
        if interval is not None:
            high = max(high, interval[1])
        why = (
            f"none in {trials:,} trials, rule of 3"
            if errors == 0
            else f"{told}, {counted} of them independent; a number needs {RULE_OF_30}"
            if counted < errors
            else f"{told}; a number needs {RULE_OF_30} errors"
        )
        return Rate(errors, trials, 0.0, high, None, f"at most {share(high)} ({percent}; {why})")
    low, high = wilson(errors, trials, confidence) if interval is None else interval
    value = errors / trials
    told = f"{share(value)} ({percent}: {share(low)} to {share(high)}; {told})"
    return Rate(errors, trials, low, high, value, told)


def share(value: float) -> str:
    """A rate for people: percent, or the power of ten below 0.01 %."""
    if value == 0:
        return "0"
    return f"{100 * value:.3g} %" if value >= 1e-4 else f"{value:.2g}"


def _check(errors: int, trials: int, confidence: float) -> None:
    if not 0 <= errors <= trials:
        raise UsageError(f"{errors} errors in {trials} trials cannot be")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}; it lies between 0 and 1, as 0.95")
