"""Operating points from labeled similarities, with what the data support.

An operating point is for people who were not measured. A threshold that gives exactly the target
FMR on the people measured exceeds it on other people in half of all cases. So the threshold is the
lowest that other people keep in most cases (`keep`), by a bootstrap over people (see
`resampled_scores`). With several data sets it is the highest that any of them needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from faceprint.errors import UsageError
from faceprint.evaluation.intervals import RULE_OF_30, Rate, share
from faceprint.evaluation.labeled_scores import LabeledScores
from faceprint.evaluation.resampled_scores import KEEP, RatesAt, ResampledScores
from faceprint.types import OperatingPoint

__all__ = [
    "FMR_TARGETS",
    "CalibratedPoint",
    "Calibration",
    "calibrate",
]

FMR_TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True, slots=True)
class CalibratedPoint:
    """A threshold for an FMR target.

    Attributes:
        fmr: the target, which `threshold` keeps.
        rates: both error rates at the threshold on each data set that can show the target.
        decided_by: index in `rates` of the data set that needs the highest threshold.
        promised: whether other people keep the target with the probability asked for; False if
            there are too few people to show that.
        statement: the same in a sentence.
    """

    fmr: float
    threshold: float
    rates: tuple[RatesAt, ...]
    decided_by: int
    promised: bool
    statement: str

    @property
    def worst(self) -> RatesAt:
        """The rates on the data set with the highest upper end of the FMR."""
        return max(self.rates, key=lambda each: each.high)

    @property
    def fmr_low(self) -> float:
        """Lower end of the FMR of other people (95 %) on the worst data set."""
        return self.worst.low

    @property
    def fmr_high(self) -> float:
        """Upper end of the same."""
        return self.worst.high

    @property
    def seen(self) -> Rate:
        """The false matches on the worst data set."""
        return self.worst.fmr

    @property
    def fnmr(self) -> Rate:
        """The highest FNMR of all data sets."""
        return max((each.fnmr for each in self.rates), key=lambda rate: rate.observed)

    def operating_point(self, name: str, source: str) -> OperatingPoint:
        """The operating point for verification and identification."""
        return OperatingPoint(
            self.threshold,
            self.fmr,
            self.fmr_low,
            self.fmr_high,
            self.fnmr.observed,
            name,
            source,
            "calibrated",
            tuple(each.measurement() for each in self.rates),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The outcome of a calibration.

    Attributes:
        points: one for each target that the data support, highest FMR first.
        refused: a sentence for each target that no data set supports.
        left_out: a sentence for each data set that is too small for a target that another one
            supports; the point does not use it.
        summary: sentences about the data and what they support.
    """

    points: tuple[CalibratedPoint, ...]
    refused: tuple[str, ...]
    summary: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def calibrate(
    scores: LabeledScores | Mapping[str, LabeledScores],
    targets: Sequence[float] = FMR_TARGETS,
    *,
    keep: float | None = KEEP,
    replicates: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Find the lowest threshold that keeps each FMR target, with the error rates there.

    A target is refused if there are too few pairs to show it even without a false match (rule of
    3), or if fewer than three of its false matches share no person. With fewer than 30 of those,
    the FMR of the point is an upper bound.

    Args:
        scores: of one data set, or of several by name.
        keep: probability that the same number of other people stay at or below the target; None
            takes the lowest threshold that keeps it on the people measured.

    Raises:
        UsageError: no data set, unusable scores (see `checked_scores`), or a target or `keep` that
            is not in 0..1.
    """
    named = {"": scores} if isinstance(scores, LabeledScores) else dict(scores)
    if not named:
        raise UsageError("no data set to calibrate on")
    for target in targets:
        if not 0 < target < 1:
            raise UsageError(f"fmr is {target}; a rate lies between 0 and 1, as 1e-3")
    data = [
        ResampledScores.of(each, name=name, replicates=replicates, seed=seed)
        for name, each in named.items()
    ]
    points: list[CalibratedPoint] = []
    refused: list[str] = []
    left_out: list[str] = []
    for target in sorted(targets, reverse=True):
        needed = {each.name: each.threshold_for(target, keep) for each in data}
        shown = [each for each in data if not isinstance(needed[each.name], str)]
        said = [
            f"{name}: {why}" if name else why
            for name, why in needed.items()
            if isinstance(why, str)
        ]
        if shown:
            points.append(_point(shown, needed, target, keep))
            left_out += said
        else:
            refused += said
    summary = [line for each in data for line in _summary(each)]
    return Calibration(tuple(points), tuple(refused), tuple(summary), tuple(left_out))


def _point(
    data: Sequence[ResampledScores],
    needed: Mapping[str, float | str],
    target: float,
    keep: float | None,
) -> CalibratedPoint:
    thresholds = [float(needed[each.name]) for each in data]
    threshold = max(thresholds)
    rates = tuple(each.rates_at(threshold, target) for each in data)
    promised, sure = True, ""
    if keep is not None:
        promised = all(each.bound(threshold, keep) <= target for each in data)
        sure = f", which other people keep in {100 * keep:g} % of cases"
        if not promised:
            sure = ", the strictest that these people can show, though too few to promise the rate"
    told = "; ".join(_told(each) for each in rates)
    statement = f"FMR {target:g}: threshold {threshold:.4f}{sure}; {told}"
    decided_by = thresholds.index(threshold)
    return CalibratedPoint(target, threshold, rates, decided_by, promised, statement)


def _told(rates: RatesAt) -> str:
    where = f"on {rates.data_set}, " if rates.data_set else ""
    if rates.fmr.value is None:
        alone = f"{rates.independent} independent false matches; {RULE_OF_30} make a number"
        promised = f"at most {share(rates.high)} ({alone})"
    else:
        promised = f"between {share(rates.low)} and {share(rates.high)}"
    group = rates.highest_group
    among = "" if group is None else f"; {group.group} match {share(group.fmr.observed)}"
    return (
        f"{where}for as many other people the FMR is promised to be {promised}, at 95 %{among}; "
        f"FNMR {rates.fnmr.statement}, {share(rates.fnmr_by_person)} by person"
    )


def _summary(data: ResampledScores) -> tuple[str, ...]:
    people, trials, mates = len(data.drawn), len(data.others), data.mates.total
    first = f"{people:,} people; {mates:,} mated and {trials:,} non-mated pairs"
    if len(data.ranks) < RULE_OF_30:
        second = (
            f"only {len(data.ranks)} pairs of different people can be had that share nobody: every "
            f"FMR here is a bound, not a number; that takes {2 * RULE_OF_30} people or more"
        )
    else:
        least = share((data.ranks[-1] + 1) / trials)
        second = f"the smallest FMR that these people can give as a number is {least}"
    return tuple(f"{data.name}: {line}" if data.name else line for line in (first, second))
