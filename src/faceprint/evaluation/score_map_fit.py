"""Fits the maps of `faceprint.recognition.thresholds.score_map` to measured pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.intervals import RULE_OF_3, RULE_OF_30
from faceprint.evaluation.metrics import checked_scores
from faceprint.recognition.thresholds.score_map import MapKind, Reliability, ScoreMap, Tail

__all__ = [
    "fit_score_map",
    "fit_tail",
    "pool_adjacent_violators",
    "reliability",
]

Floats = NDArray[np.float64]

_BINS = 2048


def pool_adjacent_violators(values: ArrayLike, weights: ArrayLike) -> Floats:
    """Isotonic regression by weighted least squares (Ayer et al. 1955), (n,) to (n,)."""
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
    """Fit a map to pairs, weighted so that a share `prior` of them is mated.

    No probability goes beyond what the rule of 3 lets the number of pairs support.

    Args:
        kind: `isotonic` follows the data (Zadrozny and Elkan 2002) and needs many of them;
            `logistic` is a sigmoid of two numbers (Platt 1999), for few.

    Raises:
        UsageError: unusable scores, or an invalid prior or kind.
    """
    scores, labels = checked_scores(similarities, mated)
    if not 0 < prior < 1:
        raise UsageError(f"prior is {prior}; a share lies between 0 and 1, as 0.5")
    if kind not in ("isotonic", "logistic"):
        raise UsageError(f"kind is {kind!r}; it is 'isotonic' or 'logistic'")
    centers, positive, negative = _binned(scores, labels, prior)
    if kind == "isotonic":
        fitted = pool_adjacent_violators(positive / (positive + negative), positive + negative)
    else:
        fitted = _sigmoid(centers, positive, negative)
    least = _bound(prior, int(labels.sum()))
    most = 1 - _bound(1 - prior, int((~labels).sum()))
    fitted = np.clip(fitted, min(least, prior), max(most, prior))
    return ScoreMap(kind, *_knots(centers, fitted), prior)


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
    centers = np.bincount(place, weight * scores, len(edges) + 1)[used] / total[used]
    positive = np.bincount(place, weight * labels, len(edges) + 1)[used].astype(np.float64)
    return centers.astype(np.float64), positive, total[used] - positive


def _sigmoid(centers: Floats, positive: Floats, negative: Floats) -> Floats:
    # Newton's method on standardized scores; a small ridge keeps the result finite.
    weight = positive + negative
    middle = (weight * centers).sum()
    spread = np.sqrt((weight * (centers - middle) ** 2).sum()) or 1.0
    x = np.stack([(centers - middle) / spread, np.ones(len(centers))])
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
    """Drop knots inside level stretches, which add nothing."""
    inner = (np.abs(y[1:-1] - y[:-2]) < 1e-12) & (np.abs(y[2:] - y[1:-1]) < 1e-12)
    keep = np.concatenate([[True], ~inner, [True]]) if len(y) > 2 else np.ones(len(y), bool)
    return tuple(x[keep].tolist()), tuple(y[keep].tolist())


def reliability(
    score_map: ScoreMap, similarities: ArrayLike, mated: ArrayLike, bins: int = 10
) -> Reliability:
    """Compare a map with pairs of people it was not fitted on.

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
