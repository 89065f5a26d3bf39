"""Error rates with intervals, or with an upper bound where the errors are too few for a number.

Two rules of ISO/IEC 19795-1 decide. Rule of 3: no error in N trials shows, at 95 %, that the rate
is at most 3 / N. Rule of 30 (Doddington et al. 2000): with 30 errors or more the rate is known to
within 30 % of itself, at 90 %; with fewer there is only an upper bound.
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
        low, high: the interval, or 0 and the upper bound.
        value: errors / trials; None if there are too few errors.
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
        """errors / trials however few they are, for plots; NaN without trials."""
        return self.errors / self.trials if self.trials else math.nan


def wilson(errors: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion of independent trials (Wilson 1927).

    Raises:
        UsageError: impossible counts or confidence.
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
        UsageError: impossible counts or confidence.
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
    """The rate with its interval, or with an upper bound if there are too few errors.

    Args:
        interval: found by other means, as by a bootstrap over people; default: Wilson's.
        independent: number of errors that share no person; the rule of 30 counts these.

    Raises:
        UsageError: impossible counts or confidence.
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
    """A rate as text: in percent, below 0.01 % as a power of ten."""
    if value == 0:
        return "0"
    return f"{100 * value:.3g} %" if value >= 1e-4 else f"{value:.2g}"


def _check(errors: int, trials: int, confidence: float) -> None:
    if not 0 <= errors <= trials:
        raise UsageError(f"{errors} errors in {trials} trials are impossible")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}; it lies between 0 and 1, as 0.95")
