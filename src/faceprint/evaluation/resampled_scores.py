"""Finds the threshold that keeps a false match rate on one data set, and measures the errors there.

A threshold fitted to some people gives another FMR on the same number of other people. A bootstrap
over people estimates the difference as the ratio of two independent resamples: one stands for the
people measured, the other for new people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.groups import GroupFmr, group_fmrs
from faceprint.evaluation.intervals import (
    RULE_OF_3,
    RULE_OF_30,
    Rate,
    measured_rate,
    share,
    upper_bound,
)
from faceprint.evaluation.labeled_scores import LabeledScores
from faceprint.evaluation.metrics import checked_scores
from faceprint.evaluation.person_bootstrap import (
    PersonPairs,
    drawn_people,
    independent_ranks,
    person_pairs,
    rate_by_person,
    resampled_counts,
)
from faceprint.types import Measurement

__all__ = ["KEEP", "ResampledScores", "RatesAt", "lowest_threshold"]

KEEP = 0.9
"""Default probability that other people stay below the target of a calibration."""

_INTERVAL = (0.005, 0.995)
"""Quantiles of the interval that is called 95 %. A bootstrap over people is overconfident: over 200
random halves of LFW's people and FMR 1e-1 to 1e-5, this interval held the other half's FMR in 96 to
100 of 100 cases, the 2.5 and 97.5 % quantiles only in 86 to 96."""

_STEP = 1.01
"""The number of false matches that a threshold allows is found to within this factor."""


@dataclass(frozen=True, slots=True)
class RatesAt:
    """The error rates of one threshold on one data set.

    Attributes:
        data_set: its name.
        fmr: the false match rate. low, high: its interval (95 %) for the same number of other
            people; from 0 when the data only bound the rate.
        independent: the false matches that share no person, 30 at most.
        fnmr: the mated pairs that do not match, with the interval over people.
        fnmr_by_person: the mean over people of each person's FNMR.
        groups: the FMR within each group of people and across groups; empty without labels.
    """

    data_set: str
    fmr: Rate
    low: float
    high: float
    independent: int
    fnmr: Rate
    fnmr_by_person: float
    groups: tuple[GroupFmr, ...] = ()

    @property
    def highest_group(self) -> GroupFmr | None:
        """Of the groups with enough pairs, the one whose people match one another most often."""
        within = [group for group in self.groups if group.within and group.enough]
        return max(within, key=lambda group: group.fmr.observed, default=None)

    def measurement(self) -> Measurement:
        """The rates as an operating point stores them."""
        group = self.highest_group
        return Measurement(
            self.data_set,
            self.fmr.observed,
            self.low,
            self.high,
            self.fnmr.observed,
            self.fnmr.low,
            self.fnmr.high,
            self.fnmr_by_person,
            "" if group is None else group.group,
            None if group is None else group.fmr.observed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ResampledScores:
    """The scores of a data set, sorted and resampled once for all targets.

    Attributes:
        similarities, mated, first, second: (n,) of the pairs, people numbered from 0.
        others: indices of the non-mated pairs, most similar first; `falling`: their similarities.
        ranks: positions in `others` of pairs that share no person with an earlier one, 30 at most.
        drawn: (people, replicates) how often each person is in each resample.
        trials: (replicates,) the non-mated pairs of each resample.
        labels: (people,) the group of each person, empty where unknown; None without groups.
    """

    name: str
    similarities: NDArray[np.float64]
    mated: NDArray[np.bool_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    others: NDArray[np.int64]
    falling: NDArray[np.float64]
    ranks: NDArray[np.int64]
    drawn: NDArray[np.float32]
    trials: NDArray[np.float64]
    mates: PersonPairs
    labels: NDArray[np.str_] | None = None

    @classmethod
    def of(
        cls, scores: LabeledScores, *, name: str = "", replicates: int = 1000, seed: int = 0
    ) -> ResampledScores:
        """Sort and resample.

        Raises:
            UsageError: scores that cannot be judged (see `checked_scores`).
        """
        similarities, mated = checked_scores(scores.similarities, scores.mated)
        people, numbers = np.unique(np.stack([scores.first, scores.second]), return_inverse=True)
        first, second = numbers.reshape(2, -1)
        order = np.argsort(-similarities, kind="stable")
        others = order[~mated[order]]
        drawn = drawn_people(len(people), replicates, seed)
        return cls(
            name,
            similarities,
            mated,
            first,
            second,
            others,
            similarities[others],
            independent_ranks(first[others], second[others], RULE_OF_30),
            drawn,
            resampled_counts(person_pairs(first[others], second[others]), drawn),
            person_pairs(first[mated], second[mated]),
            None if scores.groups is None else np.asarray(scores.groups)[people],
        )

    def threshold_for(self, target: float, keep: float | None) -> float | str:
        """The lowest threshold that keeps an FMR, or a sentence why these data can't show it.

        With too few people for that probability at any threshold, it is the highest threshold with
        three false matches that share no person. No data would support a stricter one.

        Args:
            target: the FMR to keep.
            keep: probability that the same number of other people stay at or below the target;
                None takes the lowest threshold that keeps it on the people measured.

        Raises:
            UsageError: `keep` is not between 0 and 1.
        """
        if keep is not None and not 0 < keep < 1:
            raise UsageError(f"keep is {keep}; a probability lies between 0 and 1, as 0.9")
        trials = len(self.others)
        allowed = int(target * trials + 1e-6)
        if allowed < RULE_OF_3:
            return (
                f"FMR {target:g}: {trials:,} non-mated pairs are too few; even no false match "
                f"would show at most {share(min(1.0, RULE_OF_3 / trials))}"
            )
        threshold = self._lowest(allowed)
        errors = self.errors_at(threshold)
        alone = self.independent(errors)
        if alone < RULE_OF_3:
            return (
                f"FMR {target:g}: among its {errors} false matches only {alone} share nobody; more "
                "people are needed, not more pictures of these"
            )
        if keep is None or self.bound(threshold, keep) <= target:
            return threshold
        few, many = float(self.ranks[RULE_OF_3 - 1] + 1), float(allowed)
        if self.bound(self._lowest(int(few)), keep) > target:
            return self._lowest(int(few))
        while many > few * _STEP and many - few > 1:
            middle = float(np.sqrt(few * many))
            kept = self.bound(self._lowest(int(middle)), keep) <= target
            few, many = (middle, many) if kept else (few, middle)
        return self._lowest(int(few))

    def errors_at(self, threshold: float) -> int:
        """Number of false matches at a threshold."""
        return int(np.searchsorted(-self.falling, -threshold, side="right"))

    def independent(self, errors: int) -> int:
        """How many of the first `errors` false matches share no person, 30 at most."""
        return int(np.searchsorted(self.ranks, errors))

    def bound(self, threshold: float, confidence: float) -> float:
        """The FMR that other people stay below with this confidence (one-sided)."""
        errors = self.errors_at(threshold)
        ratios = self._ratios(errors)
        return self._high(errors, float(np.quantile(ratios, confidence)), confidence)

    def rates_at(self, threshold: float, target: float) -> RatesAt:
        """Both error rates with their intervals, and those of groups, at a threshold."""
        errors = self.errors_at(threshold)
        low, above = np.quantile(self._ratios(errors), _INTERVAL).tolist()
        trials = len(self.others)
        low, high = errors / trials * low, self._high(errors, above, 0.95)
        alone = self.independent(errors)
        seen = measured_rate(errors, trials, interval=(low, high), independent=alone)
        groups = self._groups(errors, target) if self.labels is not None else ()
        fnmr, by_person = self._fnmr(threshold)
        low = 0.0 if seen.value is None else low
        return RatesAt(self.name, seen, low, high, alone, fnmr, by_person, groups)

    def _lowest(self, allowed: int) -> float:
        return lowest_threshold(self.similarities, self.falling, allowed)

    def _ratios(self, errors: int) -> NDArray[np.float64]:
        wrong = self.others[:errors]
        again = resampled_counts(person_pairs(self.first[wrong], self.second[wrong]), self.drawn)
        # Half a false match keeps resamples without any from giving a rate of 0.
        rates = (again + 0.5) / (self.trials + 1)
        return np.concatenate([rates / np.roll(rates, k) for k in range(1, 9)])

    def _high(self, errors: int, ratio: float, confidence: float) -> float:
        """Upper end of the interval: by bootstrap, or exact for few independent false matches."""
        fmr = errors / len(self.others)
        high, alone = fmr * ratio, self.independent(errors)
        if alone < RULE_OF_30:
            trials = max(alone, round(alone / fmr)) if errors else len(self.others)
            high = max(high, upper_bound(alone, trials, confidence))
        return float(min(1.0, high))

    def _fnmr(self, threshold: float) -> tuple[Rate, float]:
        missed = self.mated & (self.similarities < threshold)
        cells = person_pairs(self.first[missed], self.second[missed])
        genuine = resampled_counts(self.mates, self.drawn)
        usable = genuine > 0
        rates = resampled_counts(cells, self.drawn)[usable] / genuine[usable]
        low, high = np.quantile(rates, (0.025, 0.975)).tolist() if usable.any() else (0.0, 1.0)
        rate = measured_rate(
            cells.total, self.mates.total, interval=(low, high), independent=len(cells.first)
        )
        return rate, rate_by_person(missed[self.mated], self.first[self.mated])

    def _groups(self, errors: int, target: float) -> tuple[GroupFmr, ...]:
        assert self.labels is not None
        a, b = self.labels[self.first[self.others]], self.labels[self.second[self.others]]
        wrong = np.arange(len(self.others)) < errors
        people = (self.first[self.others], self.second[self.others])
        return group_fmrs(wrong, (a, b), people, target)


def lowest_threshold(
    similarities: NDArray[np.float64], others: NDArray[np.float64], allowed: int
) -> float:
    """The lowest similarity of a pair at which at most `allowed` non-mated pairs match.

    Args:
        similarities: (n,) of all pairs.
        others: (m,) of the non-mated pairs, falling.
    """
    if allowed >= len(others):
        return float(similarities.min())
    above = similarities[similarities > others[allowed]]
    return float(above.min()) if len(above) else float(np.nextafter(others[allowed], np.inf))
