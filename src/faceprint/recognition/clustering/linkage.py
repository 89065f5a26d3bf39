"""Average linkage on a graph, without a number of people given.

Two groups are as similar as their faces are on average: the product of the sums of their vectors
over the product of their weights, so it costs one dot product whatever their sizes. What counts is
by how much that is above what is demanded of groups of their sizes (`demand.py`). Groups that are
each other's nearest are joined, round by round, until no two are similar enough; with a constant
demand, average linkage is reducible, so that this is the tree that joining the nearest pair of all
would give (Murtagh 1983). A group takes in several in a round where they are within `slack` of its
best, as in approximate parallel agglomeration (Dhulipala et al. 2022); that saves the thousand
rounds in which a much photographed person would grow by one face each.

Pairs that are not similar enough are forgotten at once: a mean of two numbers below a constant
demand is below it. One that falls with size gives way a little (`MergeThreshold.give`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.int8_neighbors import distinct
from faceprint.recognition.clustering.knn_graph import Edges, Ints, dots
from faceprint.recognition.clustering.mapped_rows import group_sums
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold
from faceprint.types import Array

__all__ = ["average_linkage", "merge_groups"]

Flags = NDArray[np.bool_]


def average_linkage(
    vectors: Array,
    edges: Edges,
    demand: MergeThreshold,
    *,
    weights: Array | None = None,
    crowded: Array | None = None,
    groups: Ints | None = None,
    apart: Iterable[tuple[int, int]] = (),
    slack: float = 0.02,
) -> Ints:
    """Partition faces.

    Args:
        vectors: (n, d) unit rows.
        edges: pairs that may be joined; others meet only through them.
        demand: the mean cosine similarity from which two groups are one person.
        weights: (n,) how much a face counts in the mean; all alike when None.
        crowded: (n,) what each face's similarities are lowered by, the mean of a group's for all of
            it; nothing when None.
        groups: (n,) group numbers from 0 to start from; each face alone when None.
        apart: pairs of groups that must not become one.

    Returns:
        (groups,) int64: for each starting group the number of its final group, from 0.
    """
    start = np.arange(len(vectors)) if groups is None else groups
    return _Agglomeration(vectors, demand, start, apart, weights, crowded).run(edges, slack)


class _Agglomeration:
    def __init__(
        self,
        vectors: Array,
        demand: MergeThreshold,
        groups: Ints,
        apart: Iterable[tuple[int, int]],
        weights: Array | None,
        crowded: Array | None,
    ) -> None:
        count = int(groups.max(initial=-1)) + 1
        each = np.ones(len(vectors), np.float32) if weights is None else weights
        self.demand = demand
        self.weights = np.bincount(groups, each, minlength=count).astype(np.float32)
        self.sums = group_sums(vectors, groups, count, each)
        self.sizes = np.bincount(groups, minlength=count).astype(np.float32)
        more = np.zeros(len(vectors), np.float32) if crowded is None else crowded
        self.crowd = np.bincount(groups, more, minlength=count).astype(np.float32)
        self.groups = groups
        self.root = np.arange(count)
        self.apart: dict[int, set[int]] = defaultdict(set)
        pairs = np.asarray(list(apart), np.int64).reshape(-1, 2)
        self.banned = _pair_keys(pairs[:, 0], pairs[:, 1], count)
        for a, b in pairs.tolist():
            self.apart[a].add(b)
            self.apart[b].add(a)

    def run(self, edges: Edges, slack: float) -> Ints:
        count = len(self.root)
        keys = _pair_keys(self.groups[edges.a], self.groups[edges.b], count)
        a, b = keys // count, keys % count
        margin = self._margin(a, b)
        while True:
            keep = margin >= np.float32(-self.demand.give)
            keep &= ~self._forbidden(a, b)
            a, b, margin = a[keep], b[keep], margin[keep]
            if not (margin >= 0).any():
                break
            changed = self._join_nearest(a, b, margin, slack)
            a, b, margin = self._renamed(a, b, margin, changed)
        return merge_groups(self.root)

    def _margin(self, a: Ints, b: Ints) -> Array:
        """(e,) by how much groups are more similar than is demanded of them."""
        similarity = dots(self.sums, a, b) / (self.weights[a] * self.weights[b])
        margin = similarity - self.demand.between(self.sizes[a], self.sizes[b])
        if self.demand.crowded:
            margin -= (self.crowd[a] / self.sizes[a] + self.crowd[b] / self.sizes[b]) / 2
        return margin

    def _forbidden(self, a: Ints, b: Ints) -> Flags:
        if not len(self.banned):
            return np.zeros(len(a), bool)
        count = len(self.root)
        self.banned = _pair_keys(
            self.root[self.banned // count], self.root[self.banned % count], count
        )
        keys = np.minimum(a, b) * count + np.maximum(a, b)
        place = np.minimum(np.searchsorted(self.banned, keys), len(self.banned) - 1)
        return np.asarray(self.banned[place] == keys)

    def _join_nearest(self, a: Ints, b: Ints, margin: Array, slack: float) -> Flags:
        """Join each pair that is nearest from one side and within `slack` of it from the other."""
        best = np.full(len(self.root), -np.inf, np.float32)
        np.maximum.at(best, a, margin)
        np.maximum.at(best, b, margin)
        low, high = np.minimum(best[a], best[b]), np.maximum(best[a], best[b])
        near = (margin >= low) & (margin >= high - np.float32(slack))
        chosen = np.flatnonzero(near & (margin >= 0))
        # Best first; equals by number, so that the outcome depends on nothing else.
        chosen = chosen[np.lexsort((b[chosen], a[chosen], -margin[chosen]))]
        changed = np.zeros(len(self.root), bool)
        taken = np.zeros(len(self.root), bool)
        for place in chosen:
            self._join(int(a[place]), int(b[place]), changed, taken)
        return changed

    def _join(self, a: int, b: int, changed: Flags, taken: Flags) -> None:
        """`changed` groups grew in this round, `taken` ones are part of another by now.

        A group that grew may take in single ones, never another that grew: their similarity is of
        before.
        """
        if taken[a] or taken[b] or (changed[a] and changed[b]):
            return
        if changed[b] or (not changed[a] and self.weights[b] > self.weights[a]):
            a, b = b, a
        if b in self.apart.get(a, ()):
            return
        self.sums[a] += self.sums[b]
        self.weights[a] += self.weights[b]
        self.sizes[a] += self.sizes[b]
        self.crowd[a] += self.crowd[b]
        self.root[b] = a
        changed[a] = taken[b] = True
        for other in self.apart.pop(b, ()):
            self.apart[other].discard(b)
            self.apart[other].add(a)
            self.apart[a].add(other)

    def _renamed(self, a: Ints, b: Ints, margin: Array, changed: Flags) -> tuple[Ints, Ints, Array]:
        count = len(self.root)
        a, b = self.root[a], self.root[b]  # one step leads to a root: nothing taken takes in more
        stale = changed[a] | changed[b]
        keys = _pair_keys(a[stale], b[stale], count)
        again = (keys // count, keys % count)
        fresh = self._margin(*again)
        kept = ~stale
        return (
            np.concatenate([a[kept], again[0]]),
            np.concatenate([b[kept], again[1]]),
            np.concatenate([margin[kept], fresh]),
        )


def merge_groups(root: Ints) -> Ints:
    """Follow (n,) parents to the end and number what is there from 0, by first member."""
    while True:
        further = root[root]
        if np.array_equal(further, root):
            break
        root = further
    _, first, numbers = np.unique(root, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[numbers], np.int64)


def _pair_keys(a: Ints, b: Ints, count: int) -> Ints:
    low, high = np.minimum(a, b), np.maximum(a, b)
    keys = distinct(low * count + high)
    return np.asarray(keys[keys // count != keys % count], np.int64)
