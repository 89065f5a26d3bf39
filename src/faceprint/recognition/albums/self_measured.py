"""How a model's similarities are distributed, from an album itself: for a model nobody measured.

Pairs drawn at random are of two people nearly always when an album has many. Sorting with a first
guess tells the pairs of one person from the rest, which say what both distributions are, and so
again until that no longer changes anything. docs/decisions/0006-clustering.md has how near this
comes to measured operating points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from faceprint.recognition.albums.demand import Similarities
from faceprint.recognition.albums.graph import Ints
from faceprint.recognition.albums.sorting import Links, partition
from faceprint.types import Array

__all__ = ["own_similarities"]

_NORMAL = NormalDist()
_SOURCE = "estimated from this album, as nobody has measured the model: faceprint calibrate"
_ENOUGH_PHOTOS, _ENOUGH_PEOPLE, _ENOUGH_PAIRS = 40, 20, 50
_SAMPLE, _ROUNDS, _OF_EACH = 3_000, 5, 20
_RATES = (1e-2, 1e-3)
_TYPICAL = (5.5, 1.2)
"""Mean and spread of one person's similarities, as a first guess."""


def own_similarities(
    vectors: Array, photos: Sequence[str], *, seed: int = 0
) -> Similarities | None:
    """Both distributions of (n, d) unit rows.

    None for under 40 photographs or 20 people, of which nothing can be said.
    """
    if len(set(photos)) < _ENOUGH_PHOTOS:
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_SAMPLE])
    rows = np.asarray(vectors[chosen], np.float32)
    products = rows @ rows.T
    known = Similarities(*_line_at_first(products), *_TYPICAL, source=_SOURCE)
    for _ in range(_ROUNDS):
        labels = partition(rows, known.demand(len(rows)), Links())
        if int(labels.max()) + 1 < _ENOUGH_PEOPLE:
            return None
        better = _seen(products, labels, known)
        if better == known:
            break
        known = better
    return known


def _line_at_first(products: Array) -> tuple[float, float]:
    """Origin and step of two people's similarities.

    A normal distribution through the lower half tells which pairs are too similar for that; they
    are left out, and the line goes through the 84 % and 97.7 % quantiles of the rest, as the upper
    tail is what decides and need not mirror the lower one.
    """
    every = products[np.triu_indices(len(products), 1)]
    low, middle = np.quantile(every, [_NORMAL.cdf(-1), 0.5]).tolist()
    rest = every[every < middle + (middle - low) * -_NORMAL.inv_cdf(1e-3)]
    one, two = np.quantile(rest, [_NORMAL.cdf(1), _NORMAL.cdf(2)]).tolist()
    return 2 * one - two, max(two - one, 1e-6)


def _seen(products: Array, labels: Ints, before: Similarities) -> Similarities:
    """The distributions if those labels are right."""
    pair = np.triu_indices(len(products), 1)
    same = labels[pair[0]] == labels[pair[1]]
    scores = products[pair]
    z = [-_NORMAL.inv_cdf(rate) for rate in _RATES]
    common, rare = np.quantile(scores[~same], [1 - rate for rate in _RATES]).tolist()
    step = max((rare - common) / (z[1] - z[0]), 1e-6)
    known = replace(before, origin=common - step * z[0], step=step)
    # Somebody's thousand photographs would be half a million pairs.
    few = _rank_within(labels) < _OF_EACH
    mated = scores[same & few[pair[0]] & few[pair[1]]]
    if len(mated) < _ENOUGH_PAIRS:
        return known
    # Pairs that the last round left apart are missing below: the upper half shows the spread.
    middle, high = np.quantile(mated, [0.5, _NORMAL.cdf(1)]).tolist()
    return replace(
        known, mean=(middle - known.origin) / step, spread=max(high - middle, step / 2) / step
    )


def _rank_within(labels: Ints) -> Ints:
    """(n,) how many rows of the same label come before."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts
    return rank
