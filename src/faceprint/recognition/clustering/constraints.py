"""Must-link and cannot-link constraints: faces of one photograph, and the owner's corrections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.recognition.clustering.linkage import merge_groups
from faceprint.types import Array

__all__ = [
    "FaceConstraints",
    "GroupConstraints",
    "Pairs",
    "group_constraints",
    "merged_sets",
    "same_photo_pairs",
]

Pairs = Iterable[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class FaceConstraints:
    """The owner's corrections as pairs of faces, 0..n-1.

    Attributes:
        must_link: the people of these two faces are one person, with all of their faces.
        cannot_link: two people; the first face is the one that does not belong.
        keep_together: these faces are one person, as those of a person with a name are.
        keep_apart: two people, though no correction names these very faces.
    """

    must_link: tuple[tuple[int, int], ...] = ()
    cannot_link: tuple[tuple[int, int], ...] = ()
    keep_together: tuple[tuple[int, int], ...] = ()
    keep_apart: tuple[tuple[int, int], ...] = ()

    def among(self, chosen: Ints, n: int) -> FaceConstraints:
        """The constraints among (m,) chosen ones of n faces, by their place in `chosen`."""
        place = np.full(n, -1)
        place[chosen] = np.arange(len(chosen))
        kept = []
        for pairs in (self.must_link, self.cannot_link, self.keep_together, self.keep_apart):
            moved = ((int(place[a]), int(place[b])) for a, b in pairs)
            kept.append(tuple((a, b) for a, b in moved if a >= 0 and b >= 0))
        return FaceConstraints(*kept)


@dataclass(frozen=True, slots=True, eq=False)
class GroupConstraints:
    """Constraints in the form the linkage takes.

    Attributes:
        groups: (n,) int64 group of each face after the must-links.
        cannot_link: pairs of groups that must not become one.
        deferred: (groups,) bool; groups that are assigned last. A face taken out of a person by
            hand would otherwise attract some of that person's faces before the rest is complete.
    """

    groups: Ints
    cannot_link: frozenset[tuple[int, int]]
    deferred: NDArray[np.bool_]


def group_constraints(
    vectors: Array,
    *,
    photos: ArrayLike | None = None,
    must_link: Pairs = (),
    cannot_link: Pairs = (),
    keep_apart: Pairs = (),
    same_photo: float = 1.0,
) -> GroupConstraints:
    """Combine the constraints on n faces.

    Args:
        photos: (n,) the photograph of each face; None if unknown.
        must_link, cannot_link, keep_apart: pairs of faces, see `FaceConstraints`; must-links go
            before `keep_apart`.
        same_photo: similarity from which two faces of one photograph may still be one person: a
            mirror, a collage, a portrait on the wall.

    Raises:
        UsageError: a face out of range, or corrections that contradict each other.
    """
    n = len(vectors)
    must, cannot = _checked(must_link, n, "must_link"), _checked(cannot_link, n, "cannot_link")
    groups = merged_sets(n, must)
    count = int(groups.max(initial=-1)) + 1
    deferred = np.zeros(count, bool)
    apart: set[tuple[int, int]] = set()
    for a, b in cannot:
        one, other = int(groups[a]), int(groups[b])
        if one == other:
            raise UsageError(f"faces {a} and {b} must and must not be one person")
        apart.add((min(one, other), max(one, other)))
        deferred[one] = True
    for a, b in _checked(keep_apart, n, "keep_apart"):
        one, other = int(groups[a]), int(groups[b])
        if one != other:
            apart.add((min(one, other), max(one, other)))
    if photos is not None:
        pairs = same_photo_pairs(np.asarray(photos))
        alike = [(a, b) for a, b in pairs if float(vectors[a] @ vectors[b]) >= same_photo]
        # In a collage of three, the first may resemble the third only by way of the second.
        copies = merged_sets(n, alike)
        for a, b in pairs:
            one, other = int(groups[a]), int(groups[b])
            # Corrections go before what is likely.
            if one != other and copies[a] != copies[b]:
                apart.add((min(one, other), max(one, other)))
    return GroupConstraints(groups, frozenset(apart), deferred)


def same_photo_pairs(photos: NDArray[np.generic]) -> list[tuple[int, int]]:
    """Every pair of faces in one photograph."""
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
    """(n,) numbers of the connected components of `links`, by first member."""
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
