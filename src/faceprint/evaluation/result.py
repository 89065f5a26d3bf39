"""The result of verification as a frozen value, with the keys of `evaluate --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from faceprint.errors import UsageError
from faceprint.evaluation.fold_accuracy import FoldAccuracy
from faceprint.evaluation.labeled_scores import LabeledScores
from faceprint.evaluation.metrics import (
    ErrorRates,
    auc,
    checked_scores,
    eer,
    error_rates,
    roc,
    tar_at_far,
)

__all__ = ["About", "EvaluationResult", "GroupRates", "group_rates", "verification_result"]

FARS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Both errors of one group at the common threshold."""

    group: str
    rates: ErrorRates


@dataclass(frozen=True, slots=True)
class About:
    """What was evaluated on what.

    Attributes:
        protocol, dataset, pack: names.
        failed: pictures in which no face was found; their middle was embedded in its place.
        reproduce: all that is needed to repeat it: card hashes, versions, files, machine.
    """

    protocol: str
    dataset: str
    pack: str
    failed: int = 0
    reproduce: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The result of a verification protocol.

    Attributes:
        protocol, dataset, pack: names.
        accuracy, accuracy_std: over the folds; None for protocols without folds.
        tar_at_far: FAR, as text, to TAR; None where the pairs are too few to tell.
        tar_statements: the same keys, to sentences.
        folds: how many; `fold_accuracies`: of each.
        pairs: judged, all of them.
        failed: pictures in which no face was found; their middle was embedded in its place.
        threshold: cosine similarity: the mean over the folds, or the one that was set.
        rates: both errors at that threshold.
        interval_over: whether intervals were taken over people or over pairs.
        groups: empty without a group column.
        reproduce: see `About`.
    """

    protocol: str
    dataset: str
    pack: str
    accuracy: float | None
    accuracy_std: float | None
    auc: float
    eer: float
    tar_at_far: Mapping[str, float | None]
    tar_statements: Mapping[str, str]
    folds: int
    fold_accuracies: tuple[float, ...]
    pairs: int
    failed: int
    threshold: float
    rates: ErrorRates
    interval_over: Literal["people", "pairs"] = "pairs"
    groups: tuple[GroupRates, ...] = ()
    reproduce: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        value = asdict(self)
        rates = value.pop("rates")
        shown = {key: rates[key] for key in ("fmr", "fnmr", "fnmr_by_person")}
        return {**value, **shown}


def group_rates(
    similarities: ArrayLike,
    mated: ArrayLike,
    groups: Sequence[str],
    threshold: float,
    people: tuple[ArrayLike, ArrayLike] | None = None,
) -> tuple[GroupRates, ...]:
    """Both errors of every group of pairs at one threshold, by name; see `error_rates`.

    Raises:
        UsageError: lengths that differ.
    """
    scores, labels = np.asarray(similarities, np.float64), np.asarray(mated, np.bool_)
    named = np.asarray(groups, dtype=np.str_)
    if named.shape != scores.shape:
        raise UsageError(f"{len(named)} group names do not fit {len(scores)} pairs")
    found = []
    for name in np.unique(named):
        of = named == name
        sides = people and (np.asarray(people[0])[of], np.asarray(people[1])[of])
        found.append(GroupRates(str(name), error_rates(scores[of], labels[of], threshold, sides)))
    return tuple(found)


def verification_result(
    similarities: ArrayLike,
    mated: ArrayLike,
    about: About,
    *,
    accuracy: FoldAccuracy | None = None,
    threshold: float | None = None,
    groups: Sequence[str] | None = None,
    people: tuple[ArrayLike, ArrayLike] | None = None,
) -> EvaluationResult:
    """Compute all figures of a verification protocol.

    Args:
        similarities, mated: (n,) of the pairs; failed ones take -1, which matches nowhere.
        threshold: where errors are counted; the folds' mean, or the EER's, when none is given.
        people: (n,) person numbers of both sides, for intervals over people.

    Raises:
        UsageError: scores that cannot be judged (see `checked_scores`).
    """
    scores, labels = checked_scores(similarities, mated)
    curve = roc(scores, labels)
    equal = eer(curve)
    if threshold is None:
        threshold = equal.threshold if accuracy is None else accuracy.threshold
    owned = None
    if people is not None:
        first, second = (np.asarray(side, np.int32) for side in people)
        owned = LabeledScores(scores, labels, first, second)
    points = {f"{far:g}": tar_at_far(curve, far, owned) for far in FARS}
    named = () if groups is None else group_rates(scores, labels, groups, threshold, people)
    return EvaluationResult(
        protocol=about.protocol,
        dataset=about.dataset,
        pack=about.pack,
        accuracy=None if accuracy is None else accuracy.mean,
        accuracy_std=None if accuracy is None else accuracy.std,
        auc=auc(curve),
        eer=equal.value,
        tar_at_far={far: point.tar for far, point in points.items()},
        tar_statements={far: point.statement for far, point in points.items()},
        folds=0 if accuracy is None else len(accuracy.accuracies),
        fold_accuracies=() if accuracy is None else accuracy.accuracies,
        pairs=len(scores),
        failed=about.failed,
        threshold=threshold,
        rates=error_rates(scores, labels, threshold, people),
        interval_over="pairs" if people is None else "people",
        groups=named,
        reproduce=dict(about.reproduce),
    )
