"""How similar must two groups be to be one person? It depends on how many there are, of whom.

A pair of an album's faces is of two people far more often than of one, and the more so the more
faces there are. A model's operating points say how often two people are that similar (FMR) and how
often one person is not (FNMR); both are close to a normal distribution over the same scale. Two
faces alone are one person where that is as likely as not: where the one density, by as much as such
pairs are rarer, meets the other (Bayes).

The mean over many photographs of two people says more than one pair, so it needs less. And people
that resemble many others, children for one, are held apart by what they are to strangers
(`as_norm`), as in the score normalization of speaker recognition (AS-norm, Matejka et al. 2017).
docs/decisions/0006-clustering.md has what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from faceprint.recognition.clustering.knn_graph import Edges, Ints
from faceprint.types import Array, OperatingPoint

__all__ = ["MergeThreshold", "ScoreDistributions", "as_norm", "score_distributions"]

_NORMAL = NormalDist()

OTHERS = 5
"""Photographs that an album has of somebody besides the one looked at, expected beforehand."""

FEWEST = 300
"""A smaller album counts as one of so many faces: a family's few people resemble each other more
than a crowd does."""

MANY = 2.9
"""Mean similarity that makes people of very many photographs one, as a normal quantile of what two
people have: at FMR 1.9e-3 of a pair."""

STRANGERS = 10
"""Nearest strangers that say how crowded it is around a face; pairs rarer than that many of an
album's strangers are looked at."""

_COMPARED = 1e-4
"""The FMR at which fits for several data sets are compared: near what an album demands."""

_Rates = tuple[float, float | None, float | None]
"""A threshold with its FMR and FNMR."""

_GIVE = 0.3
"""In steps: a pair that is less similar than is demanded by more can be forgotten."""


@dataclass(frozen=True, slots=True)
class MergeThreshold:
    """The mean cosine similarity that makes two groups one person.

    Attributes:
        alone: for two faces.
        many: for groups of very many.
        least: pairs below are not looked at.
        give: how far below what is demanded a pair may be and still be looked at later.
        crowded: whether a face's similarity to strangers counts.
        evidence: where the numbers come from, in words.
        basis: the same in one word: an `Evidence`, or `album` when this album showed them.
        usual: what five of six pairs of photographs of one person reach; None where not known.
    """

    alone: float
    many: float
    least: float
    give: float = 0.0
    crowded: bool = False
    evidence: str = ""
    basis: str = ""
    usual: float | None = None

    @property
    def provisional(self) -> bool:
        """Whether nobody measured these numbers for these models."""
        return self.basis in ("album", "borrowed", "published")

    @staticmethod
    def constant(threshold: float, evidence: str = "") -> MergeThreshold:
        """The same for all sizes: plain average linkage."""
        return MergeThreshold(threshold, threshold, threshold, evidence=evidence)

    @property
    def twins(self) -> float:
        """Similarity from which two faces of one photograph may be one person: a collage, a mirror.

        What is usual among photographs of one person, so that siblings who stand side by side stay
        two: between a quarter and half of the way from what joins two faces to equality, and a
        third of it where nothing is known.
        """
        quarter, third, half = (self.alone + (1 - self.alone) / part for part in (4, 3, 2))
        return third if self.usual is None else min(half, max(quarter, self.usual))

    def between(self, a: Array, b: Array) -> Array:
        """(e,) similarities demanded of groups of (e,) and (e,) faces."""
        falling = np.float32(self.alone - self.many) / np.sqrt(a * b)
        return np.asarray(np.float32(self.many) + falling, np.float32)


@dataclass(frozen=True, slots=True)
class ScoreDistributions:
    """A model's similarities as two normal distributions.

    Attributes:
        origin, step: a similarity is origin + step z, z the normal quantile of two people's.
        mean, spread: of one person's, in z.
        source: how they were measured: "measured on ...".
    """

    origin: float
    step: float
    mean: float
    spread: float
    source: str = "measured"

    def demand(self, faces: int) -> MergeThreshold:
        """What an album of so many faces demands."""
        z = min(self._even(max(faces, FEWEST) / OTHERS), self.mean)
        many = min(MANY, z)
        rare = -_NORMAL.inv_cdf(min(1e-2, STRANGERS / max(faces, 1)))
        least = min(rare, z - 2 * _GIVE)
        return MergeThreshold(
            self._at(z),
            self._at(many),
            self._at(least),
            give=_GIVE * self.step,
            crowded=True,
            usual=self._at(self.mean - self.spread),
            evidence=f"for {faces:,} faces, from what was {self.source}",
        )

    def at(self, fmr: float) -> float:
        """The similarity that two people reach at this rate."""
        return self._at(-_NORMAL.inv_cdf(fmr))

    def _at(self, z: float) -> float:
        return float(min(1.0, self.origin + self.step * z))

    def _even(self, odds: float) -> float:
        """The z at which both are as likely, two people being `odds` times as frequent.

        log odds - z^2 / 2 = - (z - mean)^2 / (2 spread^2) - log spread is a quadratic equation.
        """
        b = self.mean / self.spread**2
        c = b * self.mean + 2 * math.log(odds * self.spread)
        inside = b * b + (1 - self.spread**-2) * c
        return c / (b + math.sqrt(inside)) if inside > 0 else self.mean


def score_distributions(points: Sequence[OperatingPoint]) -> ScoreDistributions | None:
    """Both distributions through a model's operating points, by least squares on a probit plot.

    Where the points name the data sets that they were measured on, each data set has a fit of its
    own, through the rates that were found there, and the one with the higher FMR counts: the album
    may be like either.

    None when fewer than two rates have an FNMR, or these do not rise with the threshold.
    """
    by_set: dict[str, list[_Rates]] = {}
    for point in points:
        for found in point.measurements:
            by_set.setdefault(found.data_set, []).append((point.threshold, found.fmr, found.fnmr))
    source = next((point.source for point in points if point.source), "measured")
    fits = [fit for rates in by_set.values() if (fit := _fitted(rates, source)) is not None]
    if fits:
        return max(fits, key=lambda fit: fit.at(_COMPARED))
    return _fitted([(point.threshold, point.fmr, point.fnmr) for point in points], source)


def _fitted(rates: Sequence[_Rates], source: str) -> ScoreDistributions | None:
    strictest: dict[float, _Rates] = {}
    for threshold, fmr, fnmr in rates:
        # Where the detector is not known, points of several come with the same rate.
        if fmr is not None and fnmr is not None and 0 < fmr < 0.5 and 0 < fnmr < 1:
            before = strictest.get(fmr)
            if before is None or before[0] < threshold:
                strictest[fmr] = (threshold, fmr, fnmr)
    chosen = sorted(strictest.values(), key=lambda row: row[0])
    if len(chosen) < 2:
        return None
    thresholds = np.array([threshold for threshold, _, _ in chosen])
    step, origin = np.polyfit([-_NORMAL.inv_cdf(fmr or 0) for _, fmr, _ in chosen], thresholds, 1)
    if not step > 0:
        return None
    rise, start = np.polyfit(
        (thresholds - origin) / step, [_NORMAL.inv_cdf(fnmr or 0) for _, _, fnmr in chosen], 1
    )
    if not rise > 0:
        return None
    return ScoreDistributions(
        float(origin), float(step), float(-start / rise), float(1 / rise), source
    )


def as_norm(edges: Edges, labels: Ints, least: float) -> Array:
    """(n,) how much more similar each face is to its nearest strangers than is usual.

    The mean over the ten nearest of other labels, each `least` or more, less the median of all
    faces. Faces whose neighbors are nearly all of their own label have `least` for the rest.
    """
    other = labels[edges.a] != labels[edges.b]
    ends = np.concatenate([edges.a[other], edges.b[other]])
    excess = np.tile(edges.similarity[other] - np.float32(least), 2)
    order = np.lexsort((-excess, ends))
    ends, excess = ends[order], excess[order]
    starts = np.searchsorted(ends, np.arange(len(labels)))
    first = np.arange(len(ends)) - starts[ends] < STRANGERS
    sums = np.bincount(ends[first], excess[first], minlength=len(labels)) / STRANGERS
    return np.asarray(sums - np.median(sums) if len(sums) else sums, np.float32)
