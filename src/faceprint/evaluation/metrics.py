"""Error rates of verification from labeled similarities.

A pair matches when its similarity is at or above the threshold. Pairs of equal similarity match
together, so a curve has one point per distinct similarity. Terms as in ISO/IEC 19795-1 and ISO/IEC
2382-37.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.intervals import RULE_OF_3, RULE_OF_30, Rate, measured_rate, share
from faceprint.evaluation.labeled_scores import LabeledScores
from faceprint.evaluation.person_bootstrap import rate_by_person, rate_over_people

__all__ = [
    "EqualError",
    "ErrorRates",
    "Roc",
    "TarAtFar",
    "auc",
    "checked_scores",
    "eer",
    "error_rates",
    "normal_deviate",
    "roc",
    "tar_at_far",
    "threshold_at_fmr",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """Both error rates at every distinct threshold, highest first.

    Attributes:
        thresholds: (k,) float64 falling; the first is infinite, where nothing matches.
        false_matches: (k,) non-mated pairs at or above each threshold.
        false_non_matches: (k,) mated pairs below it.
        mated, non_mated: how many pairs there are.
    """

    thresholds: Floats
    false_matches: Floats
    false_non_matches: Floats
    mated: float
    non_mated: float

    @property
    def fmr(self) -> Floats:
        """(k,) false match rate, rising from 0 to 1."""
        return self.false_matches / self.non_mated

    @property
    def fnmr(self) -> Floats:
        """(k,) false non-match rate, falling from 1 to 0; the true accept rate is 1 - fnmr."""
        return self.false_non_matches / self.mated


@dataclass(frozen=True, slots=True)
class EqualError:
    """The equal error rate and its threshold."""

    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Both kinds of error at one threshold.

    Attributes:
        fnmr_by_person: the mean over people of each person's FNMR; None where nobody is named or
            no pair is mated.
    """

    threshold: float
    fmr: Rate
    fnmr: Rate
    fnmr_by_person: float | None = None


@dataclass(frozen=True, slots=True)
class TarAtFar:
    """The true accept rate at the lowest threshold that keeps a false accept rate.

    Attributes:
        far: the rate that was asked for.
        threshold, tar: None when the non-mated pairs are too few for `far` (rule of 3).
        low, high: the interval of `tar`.
        fmr: what was seen at the threshold, None without one.
    """

    far: float
    threshold: float | None
    tar: float | None
    low: float
    high: float
    fmr: Rate | None
    statement: str


def checked_scores(
    similarities: ArrayLike, mated: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Both as (n,) arrays.

    Raises:
        UsageError: lengths that differ, no pairs of one kind, NaN, or labels other than 0 and 1.
    """
    scores = np.asarray(similarities, np.float64)
    labels = np.asarray(mated)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise UsageError(
            f"similarities {scores.shape} and labels {labels.shape} are not both (n,); give one "
            "label for each similarity"
        )
    if np.isnan(scores).any():
        raise UsageError(
            "a similarity is NaN; leave failed pairs out and count them, or give them -1"
        )
    if labels.dtype != np.bool_ and not np.isin(labels, (0, 1)).all():
        raise UsageError("a label is neither 0 nor 1; 1 means mated, 0 non-mated")
    labels = labels.astype(np.bool_)
    if labels.all() or not labels.any():
        kind = "mated" if not labels.any() else "non-mated"
        raise UsageError(f"there is no {kind} pair; both kinds are needed to measure errors")
    return scores, labels


def roc(similarities: ArrayLike, mated: ArrayLike) -> Roc:
    """Count both errors at every distinct similarity, exactly, ties included.

    Args:
        similarities: (n,) higher is closer.
        mated: (n,) bool, whether both pictures show one person.

    Raises:
        UsageError: see `checked_scores`.
    """
    scores, labels = checked_scores(similarities, mated)
    order = np.argsort(-scores, kind="stable")
    scores, labels = scores[order], labels[order]
    last_of_tie = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    matched = np.cumsum(labels, dtype=np.float64)
    false = np.cumsum(~labels, dtype=np.float64)
    total, others = float(matched[-1]), float(false[-1])
    return Roc(
        np.concatenate([[np.inf], scores[last_of_tie]]),
        np.concatenate([[0.0], false[last_of_tie]]),
        total - np.concatenate([[0.0], matched[last_of_tie]]),
        total,
        others,
    )


def auc(curve: Roc) -> float:
    """Area under the ROC: probability that a mated pair scores higher, ties counting half."""
    tar = 1 - curve.fnmr
    return float((np.diff(curve.fmr) * (tar[1:] + tar[:-1]) / 2).sum())


def eer(curve: Roc) -> EqualError:
    """The rate where FMR equals FNMR, on straight lines between the curve's points.

    Scores being finite in number, the two rates seldom meet exactly; the crossing of the
    diagonal with the segment between the two thresholds around it is taken, and the threshold is
    interpolated the same way.
    """
    fmr, fnmr = curve.fmr, curve.fnmr
    i = int(np.argmax(fmr >= fnmr))
    before, after = fmr[i - 1] - fnmr[i - 1], fmr[i] - fnmr[i]
    t = float(-before / (after - before))
    high, low = curve.thresholds[i - 1], curve.thresholds[i]
    threshold = low if np.isinf(high) else high + t * (low - high)
    return EqualError(float(fmr[i - 1] + t * (fmr[i] - fmr[i - 1])), float(threshold))


def threshold_at_fmr(curve: Roc, fmr: float) -> float:
    """The lowest threshold at which at most this share of the non-mated pairs match.

    Raises:
        UsageError: `fmr` is not in 0..1.
    """
    if not 0 <= fmr <= 1:
        raise UsageError(f"fmr is {fmr}; a rate lies in 0..1")
    # A millionth of a pair allows for the rounding of targets such as 0.07 * 300.
    allowed = fmr * curve.non_mated + 1e-6
    i = int(np.searchsorted(curve.false_matches, allowed, side="right")) - 1
    if i == 0:
        return float(np.nextafter(curve.thresholds[1], np.inf))
    return float(curve.thresholds[i])


def error_rates(
    similarities: ArrayLike,
    mated: ArrayLike,
    threshold: float,
    people: tuple[ArrayLike, ArrayLike] | None = None,
) -> ErrorRates:
    """FMR and FNMR at one threshold.

    One kind of pair may be absent; its rate then says that nothing can be said.

    Args:
        people: (n,) and (n,) person numbers of both sides; intervals are then bootstrapped over
            people, else they are Wilson's over pairs, which takes pairs for independent.

    Raises:
        UsageError: lengths that differ, or NaN.
    """
    scores, labels = np.asarray(similarities, np.float64), np.asarray(mated, np.bool_)
    if scores.shape != labels.shape or scores.ndim != 1:
        raise UsageError(f"similarities {scores.shape} and labels {labels.shape} are not (n,)")
    if np.isnan(scores).any() or np.isnan(threshold):
        raise UsageError("a similarity or the threshold is NaN")
    match = scores >= threshold
    if people is not None:
        first, second = (np.asarray(side, np.int64) for side in people)
        false = rate_over_people(match[~labels], first[~labels], second[~labels])
        missed = rate_over_people(~match[labels], first[labels], second[labels])
        by_person = rate_by_person(~match[labels], first[labels]) if labels.any() else None
        return ErrorRates(float(threshold), false, missed, by_person)
    return ErrorRates(
        float(threshold),
        measured_rate(int((match & ~labels).sum()), int((~labels).sum())),
        measured_rate(int((~match & labels).sum()), int(labels.sum())),
    )


def tar_at_far(curve: Roc, far: float, scores: LabeledScores | None = None) -> TarAtFar:
    """The true accept rate at a false accept rate, or why the pairs cannot tell.

    Fewer than 3 / far non-mated pairs cannot show that rate even without one false match.

    Args:
        curve: of the pairs, each counted once.
        scores: the same pairs with their people; intervals are then bootstrapped over people, else
            they are Wilson's over pairs, which takes pairs for independent.

    Raises:
        UsageError: `far` is not in 0..1.
    """
    pairs = int(curve.non_mated)
    if far * curve.non_mated < RULE_OF_3:
        why = (
            f"{pairs:,} non-mated pairs cannot show a FAR of {far:g}: even none matching would "
            f"only show at most {share(min(1.0, RULE_OF_3 / pairs))}"
        )
        return TarAtFar(far, None, None, 0.0, 1.0, None, why)
    threshold = threshold_at_fmr(curve, far)
    i = int(np.searchsorted(-curve.thresholds, -threshold, side="right")) - 1
    if scores is None:
        seen = measured_rate(int(curve.false_matches[i]), pairs)
        lost = measured_rate(int(curve.false_non_matches[i]), int(curve.mated))
    else:
        people = (scores.first, scores.second)
        rates = error_rates(scores.similarities, scores.mated, threshold, people)
        seen, lost = rates.fmr, rates.fnmr
    tar = 1 - lost.observed
    why = f"TAR {share(tar)} at threshold {threshold:.4f}; FMR there {seen.statement}"
    if far * curve.non_mated < RULE_OF_30:
        why += f"; at FAR {far:g} these pairs allow fewer than {RULE_OF_30} false matches"
    return TarAtFar(far, threshold, tar, 1 - lost.high, 1 - lost.low, seen, why)


def normal_deviate(rates: ArrayLike, floor: float = 1e-7) -> Floats:
    """Rates on the axes of a DET plot: quantiles of the normal law (Martin et al. 1997).

    Rates of 0 and 1, which lie at infinity, are brought to `floor` and 1 - `floor`.
    """
    inverse: Sequence[float] = [
        NormalDist().inv_cdf(float(rate))
        for rate in np.clip(np.asarray(rates, np.float64), floor, 1 - floor).ravel()
    ]
    return np.asarray(inverse, np.float64).reshape(np.shape(rates))
