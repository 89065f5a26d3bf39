"""The similarity at which two groups of faces are merged into one person.

A pair of faces in an album is far more often non-mated than mated, and the more so the more faces
there are. A model's operating points give the FMR and the FNMR; both are close to a normal
distribution over the same scale. Two single faces are merged where mated and non-mated are equally
likely, given how much rarer mated pairs are (Bayes).

The mean over many photographs is steadier than the similarity of one pair, so large groups need
less. docs/decisions/0006-clustering.md has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from faceprint.types import Array, OperatingPoint

__all__ = [
    "NEAREST_NON_MATED",
    "MergeThreshold",
    "ScoreDistributions",
    "score_distributions",
]

_NORMAL = NormalDist()

MATED_PER_FACE = 5
"""Expected number of other photographs of the same person, before the album is known."""

FEWEST = 300
"""A smaller album counts as one of so many faces: its few people are often a family, and resemble
each other more than strangers do."""

MANY = 2.9
"""Mean similarity that merges very large groups, as a normal quantile of the non-mated similarities
(FMR 1.9e-3 of a pair)."""

NEAREST_NON_MATED = 10
"""Nearest faces of other people that the score normalization (`as_norm`) averages over. Pairs of a
similarity that a face reaches with fewer than that many strangers are candidates."""

_COMPARED = 1e-4
"""The FMR at which fits for several data sets are compared: near what an album needs."""

_Rates = tuple[float, float | None, float | None]
"""A threshold with its FMR and FNMR."""

_TOLERANCE = 0.3
"""In standard deviations: how far below the threshold a candidate pair is still kept."""


@dataclass(frozen=True, slots=True)
class MergeThreshold:
    """The mean cosine similarity at which two groups are merged.

    Attributes:
        pair: for two single faces.
        large: for very large groups.
        floor: pairs below are no candidates.
        tolerance: how far below the threshold a pair may be and still be looked at again.
        normalize: whether scores are normalized by a face's similarity to strangers (`as_norm`).
        source: where the numbers come from, in words.
        evidence: the same in one word: an `Evidence`, or `album` if estimated from the album.
        typical_mated: the similarity that five of six mated pairs reach; None if unknown.
    """

    pair: float
    large: float
    floor: float
    tolerance: float = 0.0
    normalize: bool = False
    source: str = ""
    evidence: str = ""
    typical_mated: float | None = None

    @property
    def provisional(self) -> bool:
        """Whether nobody measured these numbers for these models."""
        return self.evidence in ("album", "borrowed", "published")

    @staticmethod
    def constant(threshold: float, source: str = "", evidence: str = "") -> MergeThreshold:
        """The same for all group sizes: plain average linkage."""
        return MergeThreshold(threshold, threshold, threshold, source=source, evidence=evidence)

    @property
    def same_photo(self) -> float:
        """Similarity from which two faces in one photograph may be one person: a collage, a mirror.

        The typical mated similarity, so that siblings side by side stay two people; but between a
        quarter and half of the way from `pair` to 1, and a third of it if that is unknown.
        """
        quarter, third, half = (self.pair + (1 - self.pair) / part for part in (4, 3, 2))
        if self.typical_mated is None:
            return third
        return min(half, max(quarter, self.typical_mated))

    def for_sizes(self, a: Array, b: Array) -> Array:
        """(e,) thresholds for groups of (e,) and (e,) faces."""
        falling = np.float32(self.pair - self.large) / np.sqrt(a * b)
        return np.asarray(np.float32(self.large) + falling, np.float32)


@dataclass(frozen=True, slots=True)
class ScoreDistributions:
    """A model's mated and non-mated similarities as two normal distributions.

    Attributes:
        non_mated_mean, non_mated_std: of the non-mated similarities; they define the scale z:
            similarity = non_mated_mean + z * non_mated_std.
        mated_mean, mated_std: of the mated similarities, in z.
        source: how they were measured: "measured on ...".
    """

    non_mated_mean: float
    non_mated_std: float
    mated_mean: float
    mated_std: float
    source: str = "measured"

    def merge_threshold(self, faces: int) -> MergeThreshold:
        """The merge threshold for an album of so many faces."""
        z = min(self._equally_likely(max(faces, FEWEST) / MATED_PER_FACE), self.mated_mean)
        rare = -_NORMAL.inv_cdf(min(1e-2, NEAREST_NON_MATED / max(faces, 1)))
        return MergeThreshold(
            pair=self._similarity(z),
            large=self._similarity(min(MANY, z)),
            floor=self._similarity(min(rare, z - 2 * _TOLERANCE)),
            tolerance=_TOLERANCE * self.non_mated_std,
            normalize=True,
            typical_mated=self._similarity(self.mated_mean - self.mated_std),
            source=f"for {faces:,} faces, from what was {self.source}",
        )

    def threshold_at(self, fmr: float) -> float:
        """The similarity that non-mated pairs reach at this rate."""
        return self._similarity(-_NORMAL.inv_cdf(fmr))

    def _similarity(self, z: float) -> float:
        return float(min(1.0, self.non_mated_mean + self.non_mated_std * z))

    def _equally_likely(self, odds: float) -> float:
        """The z at which both are equally likely, non-mated pairs being `odds` times as frequent.

        log odds - z^2 / 2 = - (z - mean)^2 / (2 std^2) - log std is a quadratic equation.
        """
        b = self.mated_mean / self.mated_std**2
        c = b * self.mated_mean + 2 * math.log(odds * self.mated_std)
        inside = b * b + (1 - self.mated_std**-2) * c
        return c / (b + math.sqrt(inside)) if inside > 0 else self.mated_mean


def score_distributions(points: Sequence[OperatingPoint]) -> ScoreDistributions | None:
    """Fit both distributions to a model's operating points, by least squares on a probit plot.

    Where the points name the data sets they were measured on, each data set gets its own fit, and
    the one with the higher FMR counts: the album may resemble either.

    None when fewer than two points have an FNMR, or it does not rise with the threshold.
    """
    by_set: dict[str, list[_Rates]] = {}
    for point in points:
        for found in point.measurements:
            by_set.setdefault(found.data_set, []).append((point.threshold, found.fmr, found.fnmr))
    source = next((point.source for point in points if point.source), "measured")
    fits = [fit for rates in by_set.values() if (fit := _fit_rates(rates, source)) is not None]
    if fits:
        return max(fits, key=lambda fit: fit.threshold_at(_COMPARED))
    return _fit_rates([(point.threshold, point.fmr, point.fnmr) for point in points], source)


def _fit_rates(rates: Sequence[_Rates], source: str) -> ScoreDistributions | None:
    strictest: dict[float, _Rates] = {}
    for threshold, fmr, fnmr in rates:
        # If the detector is unknown, there are points of several detectors at the same rate.
        if fmr is not None and fnmr is not None and 0 < fmr < 0.5 and 0 < fnmr < 1:
            before = strictest.get(fmr)
            if before is None or before[0] < threshold:
                strictest[fmr] = (threshold, fmr, fnmr)
    chosen = sorted(strictest.values(), key=lambda row: row[0])
    if len(chosen) < 2:
        return None
    thresholds = np.array([threshold for threshold, _, _ in chosen])
    std, mean = np.polyfit([-_NORMAL.inv_cdf(fmr or 0) for _, fmr, _ in chosen], thresholds, 1)
    if not std > 0:
        return None
    rise, start = np.polyfit(
        (thresholds - mean) / std, [_NORMAL.inv_cdf(fnmr or 0) for _, _, fnmr in chosen], 1
    )
    if not rise > 0:
        return None
    return ScoreDistributions(
        float(mean), float(std), float(-start / rise), float(1 / rise), source
    )
