"""The report of a fine-tuning: error rates before and after, and whether they really differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import DatasetError
from faceprint.evaluation.intervals import RULE_OF_3
from faceprint.evaluation.labeled_scores import all_pairs
from faceprint.evaluation.person_bootstrap import drawn_people, person_pairs, resampled_counts
from faceprint.training.augment import augment
from faceprint.training.run_file import Augmentation
from faceprint.types import Array, Image

__all__ = ["CONDITIONS", "Change", "Comparison", "compare", "change_of", "degraded", "verdict_of"]

CONDITIONS: Mapping[str, Augmentation | None] = {
    "plain": None,
    "covered": Augmentation(flip=0, mask=1),
    "small": Augmentation(flip=0, low_resolution=1, sides=(22, 34)),
}
"""What the crops are measured with: as they are, under a drawn mask, and with faces 16 to 24 pixels
wide. (A face that YuNet finds is 0.73 of its aligned crop wide, by LFW's median.)"""

_REPLICATES = 400
_INTERVAL = (0.025, 0.975)

Embed = Callable[[Image], Array]


@dataclass(frozen=True, slots=True)
class Change:
    """FNMR at one FMR before and after, and the change with its interval (95 %, over people).

    Attributes:
        before, after: each at its own threshold, the lowest that keeps the FMR on these pairs.
        low, high: of after - before, on the same resampled people.
    """

    condition: str
    before: float
    before_low: float
    before_high: float
    after: float
    after_low: float
    after_high: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Whether FNMR fell by more than chance explains."""
        return self.high < 0

    @property
    def worse(self) -> bool:
        """Whether FNMR rose by more than chance explains."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """All conditions on one data set."""

    data_set: str
    people: int
    photographs: int
    fmr: float
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def degraded(crops: Image, condition: str) -> Image:
    """The crops (n, 112, 112, 3) of a condition; the same each time."""
    chances = CONDITIONS[condition]
    if chances is None:
        return crops
    random = np.random.default_rng(0)
    return np.stack([augment(crop, chances, random) for crop in crops])


def compare(
    name: str,
    crops: Image,
    subjects: NDArray[np.int64],
    embedders: tuple[Embed, Embed],
    *,
    fmr: float = 0.01,
) -> Comparison:
    """Measure the original and the trained model on the same crops, all with all.

    Args:
        crops: (n, 112, 112, 3) of people that neither was trained on here.
        subjects: (n,) people from 0.
        embedders: crops to unit embeddings (n, dim), before and after.
        fmr: the false match rate that both thresholds keep.

    Raises:
        DatasetError: too few pairs for that rate.
    """
    changes = []
    for condition in CONDITIONS:
        seen = degraded(crops, condition)
        changes.append(
            change_of(condition, (embedders[0](seen), embedders[1](seen)), subjects, fmr)
        )
    people = len(np.unique(subjects))
    return Comparison(name, people, len(crops), fmr, tuple(changes))


def change_of(
    condition: str, vectors: tuple[Array, Array], subjects: NDArray[np.int64], fmr: float = 0.01
) -> Change:
    """Compare two sets of unit embeddings (n, dim) of the same pictures; see `compare`.

    Raises:
        DatasetError: too few pairs for that rate.
    """
    _, numbers = np.unique(subjects, return_inverse=True)
    drawn = drawn_people(int(numbers.max()) + 1, _REPLICATES, 0)
    # The first column is the data as they are.
    drawn = np.concatenate([np.ones((len(drawn), 1), np.float32), drawn], axis=1)
    before, after = (_fnmr(each, numbers, drawn, fmr) for each in vectors)
    usable = np.isfinite(before) & np.isfinite(after)
    if not usable[0] or usable.sum() < _REPLICATES // 2:
        raise DatasetError(
            f"{len(drawn)} people with {len(subjects)} photographs have too few pairs to measure "
            f"FMR {fmr:g}; hold out more people"
        )
    resampled = usable.copy()
    resampled[0] = False
    (low_1, high_1), (low_2, high_2), (low, high) = (
        np.quantile(values[resampled], _INTERVAL).tolist()
        for values in (before, after, after - before)
    )
    rates = (float(before[0]), low_1, high_1, float(after[0]), low_2, high_2)
    return Change(condition, *rates, low, high)


def _fnmr(
    vectors: Array, people: NDArray[np.int64], drawn: NDArray[np.float32], fmr: float
) -> NDArray[np.float64]:
    """(replicates,) FNMR at each resample's own threshold; NaN where it has too few pairs."""
    scores = all_pairs(vectors, people)
    first, second, mated = scores.first, scores.second, scores.mated
    others = np.flatnonzero(~mated)
    if not mated.any() or len(others) * fmr < RULE_OF_3:
        return np.full(drawn.shape[1], np.nan)
    trials = resampled_counts(person_pairs(first[others], second[others]), drawn)
    allowed = fmr * trials + 1e-6  # for the rounding of targets such as 0.07 * 300
    # Resamples weigh pairs differently: four times the pairs of the target, and all if need be.
    count = min(len(others), max(64, int(4 * fmr * len(others))))
    order = others[np.argpartition(-scores.similarities[others], count - 1)[:count]]
    order = order[np.argsort(-scores.similarities[order])]
    falling = scores.similarities[order]
    own = scores.similarities[mated]
    mates, rising = first[mated], np.argsort(own)
    found = np.full(drawn.shape[1], np.nan)
    for number in range(drawn.shape[1]):
        weight = drawn[:, number].astype(np.float64)
        matched = np.cumsum(weight[first[order]] * weight[second[order]], dtype=np.float64)
        own_weight = weight[mates[rising]]
        if not trials[number] or not own_weight.sum():
            continue
        place = min(int(np.searchsorted(matched, allowed[number], side="right")), count - 1)
        missed = int(np.searchsorted(own[rising], falling[place], side="right"))
        found[number] = own_weight[:missed].sum() / own_weight.sum()
    return found


def verdict_of(aim: str, comparisons: list[Comparison]) -> tuple[bool, str]:
    """Whether the change is an improvement, and why, in a sentence.

    It is one if FNMR of the aim's condition falls by more than its interval on the first data set,
    and neither that condition nor plain rises by more than its own on any.
    """
    condition = "plain" if aim == "people" else aim
    for each in comparisons:
        for change in each.changes:
            if change.condition in (condition, "plain") and change.worse:
                return False, f"{change.condition}, {each.data_set}: worse; {_told(change)}"
    first = comparisons[0]
    change = next(change for change in first.changes if change.condition == condition)
    if change.better:
        return True, f"{condition}, {first.data_set}: better; {_told(change)}"
    return False, (
        f"{condition}, {first.data_set}: no improvement that {first.people} people can show; "
        f"{_told(change)}. More people held out narrow the interval"
    )


def _told(change: Change) -> str:
    return (
        f"FNMR {change.before:.4f} before and {change.after:.4f} after, "
        f"the change within {change.low:+.4f} to {change.high:+.4f}"
    )
