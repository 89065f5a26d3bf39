"""Operating points from labelled similarities, with what the data can and cannot promise.

The promise is about people who were not measured: the interval of a point is to hold the FMR that
as many other people will show at its threshold. It comes from a bootstrap over people, as the ratio
of two independent resamples: one stands for the people at hand, the other for those to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.intervals import (
    RULE_OF_3,
    RULE_OF_30,
    Rate,
    measured_rate,
    share,
    upper_bound,
)
from faceprint.evaluation.labelled import LabelledScores
from faceprint.evaluation.metrics import checked_scores
from faceprint.evaluation.people import (
    PersonPairs,
    drawn_people,
    independent_ranks,
    person_pairs,
    resampled_counts,
)
from faceprint.types import OperatingPoint

__all__ = [
    "CalibratedPoint",
    "Calibration",
    "calibrate",
]

FMR_TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True, slots=True)
class CalibratedPoint:
    """A threshold for an FMR target.

    Attributes:
        fmr: the target; at `threshold` at most this share of the measured pairs match.
        fmr_low, fmr_high: where the FMR of as many people who were not measured is to lie (95 %);
            from 0 when the data only bound it.
        fnmr: what was seen at the threshold, with its interval over people.
        seen: the false matches behind it.
    """

    fmr: float
    threshold: float
    fmr_low: float
    fmr_high: float
    fnmr: Rate
    seen: Rate
    statement: str

    def operating_point(self, name: str, source: str) -> OperatingPoint:
        """The same as verification and identification take it."""
        return OperatingPoint(
            self.threshold,
            self.fmr,
            self.fmr_low,
            self.fmr_high,
            self.fnmr.observed,
            name,
            source,
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """What came of a calibration.

    Attributes:
        points: one for each target that the data support, loosest first.
        refused: a sentence for each target that they do not.
        summary: what the data are and what they can say, in sentences.
    """

    points: tuple[CalibratedPoint, ...]
    refused: tuple[str, ...]
    summary: tuple[str, ...]


def calibrate(
    scores: LabelledScores,
    targets: Sequence[float] = FMR_TARGETS,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Find the lowest threshold for each FMR target, and what can be said of it.

    A target is refused when even no false match could not show it (rule of 3), or when fewer than
    three of its false matches share nobody. With fewer than 30 such the point stands, but its FMR
    is "at most".

    Raises:
        UsageError: scores that cannot be judged (see `checked_scores`), or a target not in 0..1.
    """
    data = _Data.of(scores, replicates, seed)
    points: list[CalibratedPoint] = []
    refused: list[str] = []
    for target in sorted(targets, reverse=True):
        if not 0 < target < 1:
            raise UsageError(f"fmr is {target}; a rate lies between 0 and 1, as 1e-3")
        found = _point(data, target)
        if isinstance(found, str):
            refused.append(found)
        else:
            points.append(found)
    return Calibration(tuple(points), tuple(refused), _summary(data))


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """The scores, ordered and resampled once for all targets; `others` falls, with its people."""

    similarities: NDArray[np.float64]
    mated: NDArray[np.bool_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    others: NDArray[np.int64]
    ranks: NDArray[np.int64]
    drawn: NDArray[np.float32]
    trials: NDArray[np.float64]
    mates: PersonPairs

    @classmethod
    def of(cls, scores: LabelledScores, replicates: int, seed: int) -> _Data:
        similarities, mated = checked_scores(scores.similarities, scores.mated)
        names, numbers = np.unique(np.stack([scores.first, scores.second]), return_inverse=True)
        first, second = numbers.reshape(2, -1)
        order = np.argsort(-similarities, kind="stable")
        others = order[~mated[order]]
        drawn = drawn_people(len(names), replicates, seed)
        return cls(
            similarities,
            mated,
            first,
            second,
            others,
            independent_ranks(first[others], second[others], RULE_OF_30),
            drawn,
            resampled_counts(person_pairs(first[others], second[others]), drawn),
            person_pairs(first[mated], second[mated]),
        )


def _point(data: _Data, target: float) -> CalibratedPoint | str:
    trials = len(data.others)
    allowed = int(target * trials + 1e-6)
    if allowed < RULE_OF_3:
        return (
            f"FMR {target:g}: {trials:,} non-mated pairs are too few; even no false match would "
            f"show at most {share(min(1.0, RULE_OF_3 / trials))}"
        )
    falling = data.similarities[data.others]
    threshold = _lowest(data.similarities, falling, allowed)
    errors = int(np.searchsorted(-falling, -threshold, side="right"))
    alone = int(np.searchsorted(data.ranks, errors))
    if alone < RULE_OF_3:
        return (
            f"FMR {target:g}: among its {errors} false matches only {alone} share nobody; more "
            "people are needed, not more pictures of these"
        )
    wrong = data.others[:errors]
    again = resampled_counts(person_pairs(data.first[wrong], data.second[wrong]), data.drawn)
    low, high = _promised(errors / trials, again, data.trials, alone)
    seen = measured_rate(errors, trials, interval=(low, high), independent=alone)
    fnmr = _fnmr(data, threshold)
    if seen.value is None:
        low = 0.0
        told = f"at most {share(high)} ({alone} independent false matches; 30 make a number)"
    else:
        told = f"between {share(low)} and {share(high)}"
    told = (
        f"FMR {target:g}: threshold {threshold:.4f}; for as many other people the FMR is promised "
        f"to be {told}, at 95 %; FNMR {fnmr.statement}"
    )
    return CalibratedPoint(target, threshold, low, high, fnmr, seen, told)


def _summary(data: _Data) -> tuple[str, ...]:
    people, trials, mates = len(data.drawn), len(data.others), data.mates.total
    first = f"{people:,} people; {mates:,} mated and {trials:,} non-mated pairs"
    if len(data.ranks) < RULE_OF_30:
        return (
            first,
            f"only {len(data.ranks)} pairs of different people can be had that share nobody: every "
            f"FMR here is a bound, not a number; that takes {2 * RULE_OF_30} people or more",
        )
    least = share((data.ranks[-1] + 1) / trials)
    return first, f"the smallest FMR that these people can give as a number is {least}"


def _lowest(similarities: NDArray[np.float64], others: NDArray[np.float64], allowed: int) -> float:
    if allowed >= len(others):
        return float(similarities.min())
    above = similarities[similarities > others[allowed]]
    return float(above.min()) if len(above) else float(np.nextafter(others[allowed], np.inf))


def _promised(
    fmr: float, errors: NDArray[np.float64], trials: NDArray[np.float64], alone: int
) -> tuple[float, float]:
    # Half a false match keeps resamples without any from promising a rate of nothing.
    rates = (errors + 0.5) / (trials + 1)
    ratios = np.sort(np.concatenate([rates / np.roll(rates, k) for k in range(1, 9)]))
    # At the quantiles of 99 %, since a bootstrap of people takes the number of its effective facts
    # for larger than it is: over 200 random halves of LFW's people and FMR 1e-1 to 1e-5 these held
    # the other half's FMR in 96 to 100 of each 100, those of 95 % only in 86 to 96.
    low, high = (fmr * np.quantile(ratios, (0.005, 0.995))).tolist()
    if alone < RULE_OF_30:
        high = max(high, upper_bound(alone, max(alone, round(alone / fmr))))
    return float(low), float(min(1.0, high))


def _fnmr(data: _Data, threshold: float) -> Rate:
    missed = data.mated & (data.similarities < threshold)
    cells = person_pairs(data.first[missed], data.second[missed])
    genuine = resampled_counts(data.mates, data.drawn)
    usable = genuine > 0
    rates = resampled_counts(cells, data.drawn)[usable] / genuine[usable]
    low, high = np.quantile(rates, (0.025, 0.975)).tolist() if usable.any() else (0.0, 1.0)
    return measured_rate(
        cells.total, data.mates.total, interval=(low, high), independent=len(cells.first)
    )
