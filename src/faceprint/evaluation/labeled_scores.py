"""Similarities of pairs of known people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError

__all__ = ["LabeledScores", "all_pairs"]


@dataclass(frozen=True, slots=True, eq=False)
class LabeledScores:
    """Similarities of pairs whose people are known.

    Attributes:
        similarities: (n,) float, higher is closer.
        mated: (n,) bool.
        first, second: (n,) person numbers of both sides, from 0.
        groups: (people,) the group of each person, by number, empty where unknown; None when
            nobody is labeled.
    """

    similarities: NDArray[np.floating]
    mated: NDArray[np.bool_]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    groups: NDArray[np.str_] | None = None

    @property
    def people(self) -> int:
        """Number of different people."""
        return len(np.union1d(self.first, self.second))

    def among(self, chosen: NDArray[np.bool_]) -> LabeledScores:
        """The pairs of two chosen people; `chosen` is (people,) bool by person number."""
        keep = chosen[self.first] & chosen[self.second]
        return LabeledScores(
            self.similarities[keep],
            self.mated[keep],
            self.first[keep],
            self.second[keep],
            self.groups,
        )


def all_pairs(
    embeddings: ArrayLike,
    subjects: ArrayLike,
    *,
    max_pairs: int = 20_000_000,
    seed: int = 0,
    groups: NDArray[np.str_] | None = None,
) -> LabeledScores:
    """Every pair of (n, d) unit rows, labeled by (n,) person numbers.

    Where there are more than `max_pairs`, all mated pairs stay (up to half of that number) and
    non-mated ones are drawn at random.

    Raises:
        UsageError: shapes that do not fit.
    """
    rows, people = np.asarray(embeddings, np.float32), np.asarray(subjects, np.int32)
    if rows.ndim != 2 or people.shape != rows.shape[:1] or len(rows) < 2:
        raise UsageError(f"embeddings {rows.shape} and subjects {people.shape} do not fit")
    n = len(rows)
    if n * (n - 1) // 2 <= max_pairs:
        i, j = np.triu_indices(n, 1)
        similarities = (rows @ rows.T)[i, j]
    else:
        i, j = _drawn_pairs(people, max_pairs, seed)
        step = 500_000
        similarities = np.concatenate(
            [
                np.einsum("nd,nd->n", rows[i[k : k + step]], rows[j[k : k + step]])
                for k in range(0, len(i), step)
            ]
        )
    return LabeledScores(similarities, people[i] == people[j], people[i], people[j], groups)


def _drawn_pairs(
    people: NDArray[np.int32], max_pairs: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    order = np.argsort(people, kind="stable")
    mates: list[NDArray[np.int64]] = []
    for group in np.split(order, np.flatnonzero(np.diff(people[order])) + 1):
        a, b = np.triu_indices(len(group), 1)
        mates.append(np.stack([group[a], group[b]]))
    mated = np.concatenate(mates, axis=1)
    if mated.shape[1] > max_pairs // 2:
        mated = mated[:, rng.choice(mated.shape[1], max_pairs // 2, replace=False)]
    others = rng.integers(0, len(people), (2, max_pairs - mated.shape[1]))
    others = others[:, people[others[0]] != people[others[1]]]
    both = np.concatenate([mated, others], axis=1)
    return both[0], both[1]
