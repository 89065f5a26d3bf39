"""Estimate a model's score distributions from an album, for a model that nobody measured.

Which pairs are mated is unknown, and must not be guessed from clusters alone: mated pairs that are
not merged yet would count as non-mated, and in an album of 30 people they are most of the similar
pairs. So the similarities are first fitted as a mixture (`mixture`), which needs no clusters.
Clustering with that finds most of the mated pairs. Each other pair counts as non-mated by its
probability, and these weights give the upper tail of the non-mated similarities as it is, where a
normal distribution through all of them would be too steep or too flat.
docs/decisions/0006-clustering.md compares the result with measured operating points.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.recognition.clustering.mixture import TYPICAL_MATED, fit_mixture, mated_moments
from faceprint.recognition.clustering.partition import partition
from faceprint.recognition.thresholds.merge_threshold import ScoreDistributions
from faceprint.types import Array

__all__ = ["unsupervised_distributions"]

_NORMAL = NormalDist()
_SOURCE = "estimated from this album, as nobody has measured the model: faceprint calibrate"
_MIN_PHOTOS, _MIN_PEOPLE = 40, 10
_SAMPLE, _MAX_PER_PERSON = 3_000, 20
_TAIL_ROUNDS = 3
"""Rounds that fit the tail, after two rounds of the mixture."""

_MIN_MATED = 25
"""Mated pairs (or one per four faces) below which an album says nothing about them."""

_MIN_STRANGERS = 200
"""Faces from which an album of people photographed once shows the non-mated similarities."""

_TAIL_FMR, _MIN_TAIL_PAIRS = 1e-3, 10
"""The tail is read at FMR 1e-3 and ten times that, or at the rate of ten pairs if it is higher."""


def unsupervised_distributions(
    vectors: Array, photos: Sequence[str], *, seed: int = 0
) -> ScoreDistributions | None:
    """Estimate both distributions from (n, d) unit rows.

    None for an album that is too small: under 40 photographs or 10 people, or under 200 faces
    without mated pairs that stand out.
    """
    if len(set(photos)) < _MIN_PHOTOS:
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_SAMPLE])
    rows = np.asarray(vectors[chosen], np.float32)
    products = rows @ rows.T
    known, mated = _fit_all_pairs(products)
    if mated < max(_MIN_MATED, len(rows) / 4):
        return _fit_strangers(products) if len(rows) >= _MIN_STRANGERS else None
    for number in range(1 + _TAIL_ROUNDS):
        threshold = known.merge_threshold(len(rows))
        labels = partition(rows, threshold)
        if not _MIN_PEOPLE <= int(labels.max()) + 1 < len(rows):
            return None  # too few people, or no mated pair was merged
        # A person with a thousand photographs would be half a million pairs.
        few = np.flatnonzero(_count_before(labels) < _MAX_PER_PERSON)
        part = products[np.ix_(few, few)]
        if number:
            known = _fit_tail(part, labels[few], known, threshold.pair)
        else:
            known, _ = _fit_all_pairs(part)
    return known


def _fit_all_pairs(products: Array) -> tuple[ScoreDistributions, float]:
    """The distributions from similarities alone, and the number of mated pairs."""
    scores = products[np.triu_indices(len(products), 1)]
    fit = fit_mixture(scores)
    known = _distributions(fit.non_mated_mean, fit.non_mated_std, fit.mated_mean, fit.mated_std)
    return known, fit.mated_share * len(scores)


def _fit_strangers(products: Array) -> ScoreDistributions:
    """The distributions of an album with hardly a mated pair."""
    scores = products[np.triu_indices(len(products), 1)]
    rate = max(_TAIL_FMR, _MIN_TAIL_PAIRS / len(scores))
    mean, std = _tail_line(scores, np.ones(len(scores)), rate)
    return ScoreDistributions(mean, std, *TYPICAL_MATED, _SOURCE)


def _fit_tail(
    products: Array, labels: Ints, before: ScoreDistributions, pair_threshold: float
) -> ScoreDistributions:
    """The distributions when `labels` tell most mated pairs, with the tail as it is.

    The number of mated pairs that are not merged is unknown. The square root of the share below
    the pair threshold did better than that share, and than 1, in albums of 50 to 5,000 faces.
    """
    pair = np.triu_indices(len(products), 1)
    same, scores = labels[pair[0]] == labels[pair[1]], products[pair]
    rate = max(_TAIL_FMR, _MIN_TAIL_PAIRS / len(scores))
    if 10 * rate > 0.1:
        return before
    z = (scores - before.non_mated_mean) / before.non_mated_std
    z_pair = (pair_threshold - before.non_mated_mean) / before.non_mated_std
    missed = _NORMAL.cdf((z_pair - before.mated_mean) / before.mated_std)
    share = float(same.mean()) * missed**0.5
    non_mated = (1 - share) * np.exp(-0.5 * np.maximum(z, 0) ** 2)
    mated = share * np.exp(-0.5 * ((z - before.mated_mean) / before.mated_std) ** 2)
    mated /= before.mated_std
    weights = np.where(same | (z >= before.mated_mean), 1.0, mated / (mated + non_mated))
    mean, std = _tail_line(scores, 1 - weights, rate)
    return _distributions(mean, std, *mated_moments(scores, weights, mean, std))


def _distributions(
    non_mated_mean: float, non_mated_std: float, mated_mean: float, mated_std: float
) -> ScoreDistributions:
    """From similarities: the mated moments are given in standard deviations of the non-mated."""
    z_mean, z_std = (mated_mean - non_mated_mean) / non_mated_std, mated_std / non_mated_std
    return ScoreDistributions(non_mated_mean, non_mated_std, z_mean, z_std, _SOURCE)


def _tail_line(scores: Array, weights: NDArray[np.float64], rate: float) -> tuple[float, float]:
    """Mean and standard deviation of the normal tail through a rate and ten times that rate."""
    order = np.argsort(-scores)
    total = np.cumsum(weights[order])
    places = np.searchsorted(total, np.array([10 * rate, rate]) * total[-1])
    common, rare = scores[order[np.minimum(places, len(order) - 1)]].tolist()
    z_common, z_rare = -_NORMAL.inv_cdf(10 * rate), -_NORMAL.inv_cdf(rate)
    std = max((rare - common) / (z_rare - z_common), 1e-6)
    return common - std * z_common, std


def _count_before(labels: Ints) -> Ints:
    """(n,) how many earlier rows have the same label."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    count = np.empty(len(labels), np.int64)
    count[order] = np.arange(len(labels)) - starts
    return count
