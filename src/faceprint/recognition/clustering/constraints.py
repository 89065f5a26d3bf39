"""What may not be joined and what must be: faces of one photograph, and the owner's corrections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.recognition.clustering.knn_graph import Ints
from faceprint.recognition.clustering.linkage import merge_groups
from faceprint.types import Array

__all__ = ["Constraints", "Pairs", "constrain", "same_photo_pairs", "merged_sets"]

Pairs = Iterable[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Constraints:
    """Constraints in the form the partition takes.

    Attributes:
        groups: (n,) int64 group of each face after the must-links.
        apart: pairs of groups that must not become one.
        held: (groups,) bool; the ones that find their place last. A face taken out of a person by
            hand would otherwise draw some of that person's faces to itself before the rest is
            whole.
    """

    groups: Ints
    apart: frozenset[tuple[int, int]]
    held: NDArray[np.bool_]


def constrain(
    vectors: Array,
    *,
    photos: ArrayLike | None = None,
    must_link: Pairs = (),
    cannot_link: Pairs = (),
    separate: Pairs = (),
    twins: float = 1.0,
) -> Constraints:
    """Gather the constraints on n faces.

    Args:
        photos: (n,) which photograph each face is in; None when nothing is known.
        must_link, cannot_link: pairs of faces, 0..n-1; in `cannot_link` the first is the face that
            does not belong.
        separate: pairs that are two people unless the must-links say otherwise.
        twins: similarity from which two faces of one photograph may be one person all the same: a
            mirror, a collage, a portrait on the wall.

    Raises:
        UsageError: a face out of range, or corrections that contradict each other.
    """
    n = len(vectors)
    must, cannot = _checked(must_link, n, "must_link"), _checked(cannot_link, n, "cannot_link")
    groups = merged_sets(n, must)
    count = int(groups.max(initial=-1)) + 1
    held = np.zeros(count, bool)
    apart: set[tuple[int, int]] = set()
    for a, b in cannot:
        one, other = int(groups[a]), int(groups[b])
        if one == other:
            raise UsageError(f"faces {a} and {b} must and must not be one person")
        apart.add((min(one, other), max(one, other)))
        held[one] = True
    for a, b in _checked(separate, n, "separate"):
        one, other = int(groups[a]), int(groups[b])
        if one != other:
            apart.add((min(one, other), max(one, other)))
    if photos is not None:
        pairs = same_photo_pairs(np.asarray(photos))
        alike = [(a, b) for a, b in pairs if float(vectors[a] @ vectors[b]) >= twins]
        # Three pictures of one person in a collage: the first may be like the third by the second.
        twin = merged_sets(n, alike)
        for a, b in pairs:
            one, other = int(groups[a]), int(groups[b])
            # What the owner said goes before what is likely.
            if one != other and twin[a] != twin[b]:
                apart.add((min(one, other), max(one, other)))
    return Constraints(groups, frozenset(apart), held)


def same_photo_pairs(photos: NDArray[np.generic]) -> list[tuple[int, int]]:
    """Every two faces that are in one photograph."""
    _, numbers = np.unique(photos, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order], append=-1)) + 1
    pairs, start = [], 0
    for end in ends.tolist():
        faces = order[start:end].tolist()
        pairs += [(a, b) for i, a in enumerate(faces) for b in faces[i + 1 :]]
        start = end
    return pairs


def merged_sets(n: int, links: Pairs) -> Ints:
    """(n,) numbers of the sets that `links` join, by first member."""
    root = list(range(n))

    def find(x: int) -> int:
        while root[x] != x:
            root[x] = root[root[x]]
            x = root[x]
        return x

    for a, b in links:
        low, high = sorted((find(a), find(b)))
        root[high] = low
    return merge_groups(np.asarray(root, np.int64))


def _checked(links: Pairs, n: int, name: str) -> list[tuple[int, int]]:
    pairs = [(int(a), int(b)) for a, b in links]
    for a, b in pairs:
        if not (0 <= a < n and 0 <= b < n):
            raise UsageError(f"{name} names faces {a} and {b}; there are 0 to {n - 1}")
        if a == b and name == "cannot_link":
            raise UsageError(f"cannot_link holds face {a} and itself")
    return pairs
