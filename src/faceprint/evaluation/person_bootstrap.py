"""The bootstrap over people: pairs that share a person are not independent, but people are.

People are drawn with replacement; a pair of two people counts as often as the product of how often
each was drawn, a mated pair as often as its person (the subsets bootstrap of Bolle, Ratha and
Pankanti 2004; for pairs of two people the pigeonhole bootstrap of Owen 2007, whose intervals are
too wide rather than too narrow).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.evaluation.intervals import RULE_OF_30, Rate, measured_rate

__all__ = [
    "PersonPairs",
    "drawn_people",
    "independent_ranks",
    "people_of_pairs",
    "person_pairs",
    "rate_by_person",
    "rate_over_people",
    "resampled_counts",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PersonPairs:
    """Number of trials by pair of people: (c,) people, (c,) people, (c,) trials."""

    first: Ints
    second: Ints
    trials: Floats

    @property
    def total(self) -> int:
        """All trials."""
        return int(self.trials.sum())


def person_pairs(first: ArrayLike, second: ArrayLike) -> PersonPairs:
    """Count the trials of each two people, in either order; (n,) person numbers from 0."""
    a, b = np.asarray(first, np.int64), np.asarray(second, np.int64)
    low, high = np.minimum(a, b), np.maximum(a, b)
    span = int(high.max()) + 1 if len(high) else 1
    keys, trials = np.unique(low * span + high, return_counts=True)
    return PersonPairs(keys // span, keys % span, trials.astype(np.float64))


def drawn_people(people: int, replicates: int, seed: int) -> NDArray[np.float32]:
    """(people, replicates) how often each person is drawn in each resample."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(people, np.full(people, 1 / people), size=replicates)
    return np.ascontiguousarray(drawn.T.astype(np.float32))


def resampled_counts(cells: PersonPairs, drawn: NDArray[np.float32]) -> Floats:
    """(replicates,) trials in each resample, each weighted as the module says."""
    people, replicates = drawn.shape
    own = cells.first == cells.second
    total = cells.trials[own] @ drawn[cells.first[own]].astype(np.float64)
    a, b, n = cells.first[~own], cells.second[~own], cells.trials[~own]
    dense = len(a) * 8 > people * people
    # Blocks bound the memory to some 64 MB. Nearly full tables use matrix products.
    step = max(1, 8_000_000 // max(1, people)) if dense else max(1, 8_000_000 // replicates)
    for start in range(0, people if dense else len(a), step):
        if dense:
            low, high = np.searchsorted(a, (start, start + step))
            block = np.zeros((min(step, people - start), people), np.float32)
            block[a[low:high] - start, b[low:high]] = n[low:high]
            rows = drawn[start : start + step]
            total = total + np.einsum("pr,pr->r", rows, block @ drawn, dtype=np.float64)
        else:
            part = slice(start, start + step)
            total = total + n[part] @ (drawn[a[part]] * drawn[b[part]]).astype(np.float64)
    return np.asarray(total, np.float64).reshape(replicates)


def independent_ranks(
    first: NDArray[np.integer], second: NDArray[np.integer], enough: int
) -> NDArray[np.int64]:
    """Take those of (n,) pairs, in order, that share no person with a pair taken before.

    Returns:
        (k,) int64 their indices, rising, at most `enough` of them.
    """
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    span = int(high.max(initial=0)) + 1
    _, places = np.unique(low * span + high, return_index=True)
    places.sort()
    met, ranks = set[int](), list[int]()
    # One remaining person makes no pair, unless there are pairs of one person.
    people = len(np.union1d(low, high)) - int(not (low == high).any())
    for place in places.tolist():
        a, b = int(low[place]), int(high[place])
        if a in met or b in met:
            continue
        met |= {a, b}
        ranks.append(place)
        if len(ranks) >= enough or len(met) >= people:
            break
    return np.asarray(ranks, np.int64)


def rate_over_people(
    wrong: NDArray[np.bool_],
    first: ArrayLike,
    second: ArrayLike,
    *,
    replicates: int = 400,
    confidence: float = 0.95,
    seed: int = 0,
) -> Rate:
    """The share of wrong trials with its interval over people.

    Args:
        wrong: (n,) which trials were errors.
        first, second: (n,) person numbers of both sides of each trial.
    """
    if not len(wrong):
        return measured_rate(0, 0)
    _, numbers = np.unique(np.stack([first, second]), return_inverse=True)
    a, b = numbers.reshape(2, -1)
    drawn = drawn_people(int(numbers.max()) + 1, replicates, seed)
    trials = resampled_counts(person_pairs(a, b), drawn)
    usable = trials > 0
    rates = resampled_counts(person_pairs(a[wrong], b[wrong]), drawn)[usable] / trials[usable]
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = np.quantile(rates, ends).tolist() if usable.any() else (0.0, 1.0)
    return measured_rate(
        int(wrong.sum()),
        len(wrong),
        confidence=confidence,
        interval=(low, high),
        independent=len(independent_ranks(a[wrong], b[wrong], RULE_OF_30)),
    )


def rate_by_person(wrong: NDArray[np.bool_], people: ArrayLike) -> float:
    """The mean over people of each person's share of wrong trials; NaN without trials.

    A person with many photographs has many mated pairs and dominates the share of all pairs. Here
    each person counts once.

    Args:
        wrong: (n,) which trials were errors.
        people: (n,) the person of each trial.
    """
    if not len(wrong):
        return math.nan
    _, numbers = np.unique(np.asarray(people), return_inverse=True)
    trials = np.bincount(numbers)
    return float((np.bincount(numbers, weights=wrong) / trials).mean())


def people_of_pairs(
    left: ArrayLike, right: ArrayLike, mated: ArrayLike, images: int
) -> NDArray[np.int64]:
    """(images,) a person number for each picture when only pairs are labeled.

    Pictures connected by mated pairs are one person; every other picture is a person of its own.
    """
    parent = list(range(images))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    pairs = zip(
        np.asarray(left).tolist(),
        np.asarray(right).tolist(),
        np.asarray(mated).tolist(),
        strict=True,
    )
    for a, b, same in pairs:
        if same:
            parent[root(a)] = root(b)
    _, people = np.unique([root(i) for i in range(images)], return_inverse=True)
    return np.asarray(people, np.int64)
