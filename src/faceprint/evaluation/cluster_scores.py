"""How well clusters agree with people: pairwise and BCubed precision, recall and F.

Both come from the table of how many items each cluster shares with each person, of which only the
filled cells are held: a hundred thousand items cost a sort, never a table of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError

__all__ = ["ClusterScores", "PrecisionRecall", "cluster_scores"]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """2 P R / (P + R), 0 when both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """Agreement of a clustering with the truth.

    Attributes:
        bcubed: averaged over items (Bagga and Baldwin 1998; Amigo et al. 2009).
        pairwise: over pairs of items of one cluster, and of one person.
        items, clusters, people: how many there are; unassigned items are clusters of one.
    """

    bcubed: PrecisionRecall
    pairwise: PrecisionRecall
    items: int
    clusters: int
    people: int


def cluster_scores(people: ArrayLike, clusters: ArrayLike) -> ClusterScores:
    """Compare (n,) person numbers with (n,) cluster numbers; negative clusters are unassigned.

    With no two items in one cluster, nothing was joined wrongly and pairwise precision is 1; with
    no two items of one person, pairwise recall is 1.

    Raises:
        UsageError: lengths that differ, or no items.
    """
    truth, found = np.asarray(people), np.asarray(clusters, np.int64)
    n = len(truth)
    if truth.ndim != 1 or truth.shape != found.shape or n == 0:
        raise UsageError(
            f"people {truth.shape} and clusters {found.shape} are not both (n,), n > 0"
        )
    alone = found < 0
    first_free = int(found.max()) + 1 if n else 0
    found = np.where(alone, max(0, first_free) + np.cumsum(alone), found)
    _, truth = np.unique(truth, return_inverse=True)
    _, found = np.unique(found, return_inverse=True)
    of_person, of_cluster = np.bincount(truth), np.bincount(found)
    keys, shared = np.unique(found * len(of_person) + truth, return_counts=True)
    squares = shared.astype(np.float64) ** 2
    by_cluster = of_cluster[keys // len(of_person)]
    by_person = of_person[keys % len(of_person)]
    joined = _pairs(shared)
    return ClusterScores(
        PrecisionRecall(
            float((squares / by_cluster).sum() / n), float((squares / by_person).sum() / n)
        ),
        PrecisionRecall(_share(joined, _pairs(of_cluster)), _share(joined, _pairs(of_person))),
        n,
        len(of_cluster),
        len(of_person),
    )


def _pairs(counts: NDArray[np.int64]) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
