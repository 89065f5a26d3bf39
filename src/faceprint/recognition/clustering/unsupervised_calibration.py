"""How a model's similarities are distributed, from an album itself: for a model nobody measured.

Which pairs are of one person is not known, and it must not be guessed from the groups alone: mated
pairs that are not joined yet would count as non-mated, and in an album of 30 people they are most
of what is similar. So the similarities are taken as a mixture (`mixture.py`), which needs no
groups. Sorting with that tells most of the mated pairs; each of the others counts as non-mated
by its probability alone, and the non-mated pairs that are left give the upper tail as it is, where
a normal distribution through all of them would be too steep or too flat.
docs/decisions/0006-clustering.md has how near this comes to measured operating points.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.albums.sorting import Links, partition
from faceprint.recognition.clustering.knn_graph import Ints
from faceprint.recognition.clustering.mixture import TYPICAL, fit_mixture, mated_part
from faceprint.recognition.thresholds.merge_threshold import ScoreDistributions
from faceprint.types import Array

__all__ = ["unsupervised_distributions"]

_NORMAL = NormalDist()
_SOURCE = "estimated from this album, as nobody has measured the model: faceprint calibrate"
_ENOUGH_PHOTOS, _ENOUGH_PEOPLE = 40, 10
_SAMPLE, _OF_EACH = 3_000, 20
_TAILED = 3
"""Rounds that read the tail, after two of the mixture."""

_FEW_MATED = 25
"""Mated pairs (or one for four faces) below which an album says nothing of them."""

_ENOUGH_STRANGERS = 200
"""Faces from which an album of people photographed once says what non-mated similarities are."""

_RAREST, _FEWEST_PAIRS = 1e-3, 10
"""The tail is read at the rate 1e-3 and ten times of it, or where ten pairs are left."""


def unsupervised_distributions(
    vectors: Array, photos: Sequence[str], *, seed: int = 0
) -> ScoreDistributions | None:
    """Both distributions of (n, d) unit rows.

    None for an album of which nothing can be said: under 40 photographs or 10 people, or under 200
    faces without mated pairs that stand out.
    """
    if len(set(photos)) < _ENOUGH_PHOTOS:
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_SAMPLE])
    rows = np.asarray(vectors[chosen], np.float32)
    products = rows @ rows.T
    known, mated = _mixed(products)
    if mated < max(_FEW_MATED, len(rows) / 4):
        return _of_strangers(products) if len(rows) >= _ENOUGH_STRANGERS else None
    for number in range(1 + _TAILED):
        demand = known.demand(len(rows))
        labels = partition(rows, demand, Links())
        if not _ENOUGH_PEOPLE <= int(labels.max()) + 1 < len(rows):
            return None  # too few people, or mated pairs of which not one is joined
        # Somebody's thousand photographs would be half a million pairs.
        few = np.flatnonzero(_rank_within(labels) < _OF_EACH)
        part = products[np.ix_(few, few)]
        known = _tailed(part, labels[few], known, demand.alone) if number else _mixed(part)[0]
    return known


def _mixed(products: Array) -> tuple[ScoreDistributions, float]:
    """The distributions by similarities alone, and the number of mated pairs."""
    scores = products[np.triu_indices(len(products), 1)]
    found = fit_mixture(scores)
    known = _similarities(found.origin, found.step, found.mean, found.spread)
    return known, found.share * len(scores)


def _of_strangers(products: Array) -> ScoreDistributions:
    """The distributions of an album with hardly a mated pair."""
    scores = products[np.triu_indices(len(products), 1)]
    origin, step = _line(scores, np.ones(len(scores)), max(_RAREST, _FEWEST_PAIRS / len(scores)))
    return ScoreDistributions(origin, step, *TYPICAL, _SOURCE)


def _tailed(
    products: Array, labels: Ints, before: ScoreDistributions, alone: float
) -> ScoreDistributions:
    """The same with most mated pairs told by `labels`, and the tail as it is.

    How many mated pairs are not joined is not known. The square root of the share that is less
    similar than `alone` did better than that share, and than all, in albums of 50 to 5,000 faces.
    """
    pair = np.triu_indices(len(products), 1)
    same, scores = labels[pair[0]] == labels[pair[1]], products[pair]
    rarest = max(_RAREST, _FEWEST_PAIRS / len(scores))
    if 10 * rarest > 0.1:
        return before
    z = (scores - before.origin) / before.step
    apart = _NORMAL.cdf(((alone - before.origin) / before.step - before.mean) / before.spread)
    share = float(same.mean()) * apart**0.5
    two = (1 - share) * np.exp(-0.5 * np.maximum(z, 0) ** 2)
    one = share * np.exp(-0.5 * ((z - before.mean) / before.spread) ** 2) / before.spread
    mated = np.where(same | (z >= before.mean), 1.0, one / (one + two))
    origin, step = _line(scores, 1 - mated, rarest)
    mean, spread = mated_part(scores, mated, origin, step)
    return _similarities(origin, step, mean, spread)


def _similarities(origin: float, step: float, mean: float, spread: float) -> ScoreDistributions:
    return ScoreDistributions(origin, step, (mean - origin) / step, spread / step, _SOURCE)


def _line(scores: Array, weights: NDArray[np.float64], rarest: float) -> tuple[float, float]:
    """Origin and step of the tail of weighted scores, through a rate and ten times of it."""
    order = np.argsort(-scores)
    total = np.cumsum(weights[order])
    places = np.searchsorted(total, np.array([10 * rarest, rarest]) * total[-1])
    common, rare = scores[order[np.minimum(places, len(order) - 1)]].tolist()
    z_common, z_rare = -_NORMAL.inv_cdf(10 * rarest), -_NORMAL.inv_cdf(rarest)
    step = max((rare - common) / (z_rare - z_common), 1e-6)
    return common - step * z_common, step


def _rank_within(labels: Ints) -> Ints:
    """(n,) how many rows of the same label come before."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts
    return rank
