"""From a similarity to a probability, and to "1 in N non-mated pairs scores this high".

Both come from measured pairs and say so: the probability holds for a stated share of mated pairs,
and the tail ends where the data end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.intervals import RULE_OF_3, RULE_OF_30
from faceprint.evaluation.metrics import checked_scores

__all__ = [
    "MapKind",
    "Reliability",
    "ScoreMap",
    "Tail",
    "TailAnswer",
    "fit_score_map",
    "fit_tail",
    "pool_adjacent_violators",
    "reliability",
]

MapKind = Literal["isotonic", "logistic"]

Floats = NDArray[np.float64]

_BINS = 2048


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """The probability that a pair of this similarity is mated.

    Attributes:
        similarities, probabilities: knots, both rising; straight lines between, level outside.
        prior: the share of mated pairs that the probabilities are for. With another share `q`,
            multiply the odds by q (1 - prior) / ((1 - q) prior).
    """

    kind: MapKind
    similarities: tuple[float, ...]
    probabilities: tuple[float, ...]
    prior: float

    def probability(self, similarity: ArrayLike) -> Floats:
        """The probabilities of similarities, of the same shape."""
        known = np.interp(np.asarray(similarity, np.float64), self.similarities, self.probabilities)
        return np.asarray(known, np.float64)


@dataclass(frozen=True, slots=True)
class Reliability:
    """What was promised against what happened, for a reliability plot.

    Attributes:
        predicted, observed: mean promise and share of mated pairs in each bin, at the map's prior.
        pairs: in each bin.
        error: the mean difference of both, by weight (expected calibration error).
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    pairs: tuple[int, ...]
    error: float


@dataclass(frozen=True, slots=True)
class TailAnswer:
    """How rare a similarity is among non-mated pairs.

    Attributes:
        one_in: N of "1 in N"; when `beyond`, rarer than that, by how much nobody has measured.
    """

    one_in: float
    beyond: bool
    statement: str


@dataclass(frozen=True, slots=True)
class Tail:
    """The upper tail of the non-mated similarities.

    Attributes:
        similarities: rising, and `one_in`: at or above each, 1 in so many non-mated pairs lies.
            The last is the rarest that the data support.
    """

    similarities: tuple[float, ...]
    one_in: tuple[float, ...]

    def answer(self, similarity: float) -> TailAnswer:
        """ "1 in N non-mated pairs scores this high", never beyond what was measured."""
        if not self.similarities:
            told = "how rare this similarity is among different people was not measured"
            return TailAnswer(1.0, True, f"{told}: the calibration had too few people")
        place = int(np.searchsorted(self.similarities, similarity, side="right")) - 1
        if place < 0:
            return TailAnswer(1.0, False, "every non-mated pair scores this high")
        beyond = place == len(self.one_in) - 1
        one_in = float(f"{self.one_in[place]:.2g}")
        if beyond:
            told = f"at most 1 in {one_in:,.0f} non-mated pairs scores this high; "
            return TailAnswer(
                one_in, True, told + "the calibration's data cannot say how rare it is"
            )
        return TailAnswer(one_in, False, f"1 in {one_in:,g} non-mated pairs scores this high")


def pool_adjacent_violators(values: ArrayLike, weights: ArrayLike) -> Floats:
    """The closest rising sequence in weighted least squares (Ayer et al. 1955), (n,) to (n,)."""
    means: list[float] = []
    totals: list[float] = []
    counts: list[int] = []
    pairs = zip(
        np.asarray(values, float).tolist(), np.asarray(weights, float).tolist(), strict=True
    )
    for value, weight in pairs:
        means.append(value)
        totals.append(weight)
        counts.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            mean, total, count = means.pop(), totals.pop(), counts.pop()
            joined = totals[-1] + total
            means[-1] = (means[-1] * totals[-1] + mean * total) / joined
            totals[-1], counts[-1] = joined, counts[-1] + count
    return np.repeat(means, counts)


def fit_score_map(
    similarities: ArrayLike, mated: ArrayLike, *, kind: MapKind = "isotonic", prior: float = 0.5
) -> ScoreMap:
    """Fit the map, the pairs being weighted so that a share `prior` of them is mated.

    No probability goes beyond what the rule of 3 lets the number of pairs support.

    Args:
        kind: `isotonic` follows the data (Zadrozny and Elkan 2002) and needs many of them;
            `logistic` is a sigmoid of two numbers (Platt 1999), for few.

    Raises:
        UsageError: scores that cannot be judged, or a prior or kind that is none.
    """
    scores, labels = checked_scores(similarities, mated)
    if not 0 < prior < 1:
        raise UsageError(f"prior is {prior}; a share lies between 0 and 1, as 0.5")
    if kind not in ("isotonic", "logistic"):
        raise UsageError(f"kind is {kind!r}; it is 'isotonic' or 'logistic'")
    centres, positive, negative = _binned(scores, labels, prior)
    if kind == "isotonic":
        fitted = pool_adjacent_violators(positive / (positive + negative), positive + negative)
    else:
        fitted = _sigmoid(centres, positive, negative)
    least = _bound(prior, int(labels.sum()))
    most = 1 - _bound(1 - prior, int((~labels).sum()))
    fitted = np.clip(fitted, min(least, prior), max(most, prior))
    return ScoreMap(kind, *_knots(centres, fitted), prior)


def _bound(prior: float, pairs: int) -> float:
    rare = prior * min(1.0, RULE_OF_3 / pairs)
    return rare / (rare + 1 - prior)


def _binned(
    scores: Floats, labels: NDArray[np.bool_], prior: float
) -> tuple[Floats, Floats, Floats]:
    """Bins of equal weight of either kind of pair: their mean score and the weight of each kind."""
    weight = np.where(labels, prior / labels.sum(), (1 - prior) / (~labels).sum())
    grid = np.linspace(0, 1, _BINS // 2 + 1)[1:-1]
    edges = np.unique(
        np.concatenate([np.quantile(scores[labels], grid), np.quantile(scores[~labels], grid)])
    )
    place = np.searchsorted(edges, scores, side="right")
    total = np.bincount(place, weight, len(edges) + 1)
    used = total > 0
    centres = np.bincount(place, weight * scores, len(edges) + 1)[used] / total[used]
    positive = np.bincount(place, weight * labels, len(edges) + 1)[used].astype(np.float64)
    return centres.astype(np.float64), positive, total[used] - positive


def _sigmoid(centres: Floats, positive: Floats, negative: Floats) -> Floats:
    # Newton's method on standardised scores; a little ridge keeps separable data finite.
    weight = positive + negative
    middle = (weight * centres).sum()
    spread = np.sqrt((weight * (centres - middle) ** 2).sum()) or 1.0
    x = np.stack([(centres - middle) / spread, np.ones(len(centres))])
    beta = np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(beta @ x, -40, 40)))
        gradient = x @ (positive - weight * p) - 1e-6 * beta
        curvature = (x * (weight * p * (1 - p))) @ x.T + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        # Far steps overshoot where the sigmoid is flat.
        beta = beta + step * min(1.0, 4 / (np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return np.asarray(1 / (1 + np.exp(-np.clip(beta @ x, -40, 40))), np.float64)


def _knots(x: Floats, y: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The ends of level stretches are enough; others would only fill the file."""
    inner = (np.abs(y[1:-1] - y[:-2]) < 1e-12) & (np.abs(y[2:] - y[1:-1]) < 1e-12)
    keep = np.concatenate([[True], ~inner, [True]]) if len(y) > 2 else np.ones(len(y), bool)
    return tuple(x[keep].tolist()), tuple(y[keep].tolist())


def reliability(
    score_map: ScoreMap, similarities: ArrayLike, mated: ArrayLike, bins: int = 10
) -> Reliability:
    """Hold a map against pairs, which should be of other people than those it was fitted on.

    Raises:
        UsageError: scores that cannot be judged.
    """
    scores, labels = checked_scores(similarities, mated)
    prior = score_map.prior
    weight = np.where(labels, prior / labels.sum(), (1 - prior) / (~labels).sum())
    promise = score_map.probability(scores)
    place = np.minimum((promise * bins).astype(np.int64), bins - 1)
    total = np.bincount(place, weight, bins)
    used = total > 0
    predicted = np.bincount(place, weight * promise, bins)[used] / total[used]
    observed = np.bincount(place, weight * labels, bins)[used] / total[used]
    return Reliability(
        tuple(predicted.tolist()),
        tuple(observed.tolist()),
        tuple(np.bincount(place, minlength=bins)[used].tolist()),
        float((total[used] * np.abs(predicted - observed)).sum()),
    )


def fit_tail(non_mated: ArrayLike, ranks: NDArray[np.int64], points: int = 200) -> Tail:
    """The tail of the non-mated similarities, as far as the data support a number.

    Args:
        non_mated: (n,) similarities.
        ranks: of the independent ones among them, counted from the highest (see
            `calibrate.independent_ranks`); the tail ends at the thirtieth, and is empty with fewer.
    """
    falling = -np.sort(-np.asarray(non_mated, np.float64))
    if len(ranks) < RULE_OF_30 or not len(falling):
        return Tail((), ())
    n, first = len(falling), int(ranks[RULE_OF_30 - 1]) + 1
    chosen = np.unique(np.geomspace(first, n, points).round().astype(np.int64))
    # Ties: all pairs at or above the similarity count, not only those up to the rank.
    counts = np.searchsorted(-falling, -falling[chosen - 1], side="right")
    similarities, places = np.unique(falling[chosen - 1], return_index=True)
    return Tail(tuple(similarities.tolist()), tuple((n / counts[places]).tolist()))
