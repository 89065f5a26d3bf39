"""Average-linkage clustering on a neighbor graph; the number of people is not given.

The similarity of two groups is the mean over their faces: the product of the sums of their vectors
over the product of their sizes, so it costs one dot product whatever their sizes. What counts is
the margin by which it exceeds the threshold for groups of their sizes (`MergeThreshold`).

Groups that are each other's nearest are merged, round by round, until no pair reaches its
threshold. With a constant threshold, average linkage is reducible, so this gives the same tree as
merging the nearest pair of all (Murtagh 1983). A group takes in several groups per round if they
are within `slack` of its best, as in approximate parallel agglomeration (Dhulipala et al. 2022);
otherwise a person with a thousand photographs would take a thousand rounds.

Pairs below the threshold are dropped at once: a mean of two numbers below a constant threshold is
below it. A threshold that falls with size allows a small tolerance (`MergeThreshold.tolerance`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.int8_neighbors import Ints, distinct
from faceprint.recognition.clustering.knn_graph import Edges, dots
from faceprint.recognition.clustering.mapped_rows import group_sums
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold
from faceprint.types import Array

__all__ = ["average_linkage", "merge_groups"]

Flags = NDArray[np.bool_]


def average_linkage(
    vectors: Array,
    edges: Edges,
    threshold: MergeThreshold,
    *,
    offsets: Array | None = None,
    groups: Ints | None = None,
    cannot_link: Iterable[tuple[int, int]] = (),
    slack: float = 0.02,
) -> Ints:
    """Partition faces.

    Args:
        vectors: (n, d) unit rows.
        edges: pairs that may be merged; other faces meet only through them.
        threshold: the mean cosine similarity at which two groups are merged.
        offsets: (n,) subtracted from each face's similarities if the threshold asks for normalized
            scores; a group has the mean of its faces'.
        groups: (n,) initial group numbers from 0; None means each face alone.
        cannot_link: pairs of groups that must not become one.

    Returns:
        (groups,) int64: the number of each initial group's final group, from 0.
    """
    start = np.arange(len(vectors)) if groups is None else groups
    return _Agglomeration(vectors, threshold, start, cannot_link, offsets).run(edges, slack)


class _Agglomeration:
    def __init__(
        self,
        vectors: Array,
        threshold: MergeThreshold,
        groups: Ints,
        cannot_link: Iterable[tuple[int, int]],
        offsets: Array | None,
    ) -> None:
        count = int(groups.max(initial=-1)) + 1
        self.threshold = threshold
        self.sums = group_sums(vectors, groups, count)
        self.sizes = np.bincount(groups, minlength=count).astype(np.float32)
        shift = np.zeros(len(vectors), np.float32) if offsets is None else offsets
        self.offsets = np.bincount(groups, shift, minlength=count).astype(np.float32)
        self.groups = groups
        self.root = np.arange(count)
        self.cannot_link: dict[int, set[int]] = defaultdict(set)
        pairs = np.asarray(list(cannot_link), np.int64).reshape(-1, 2)
        self.banned = _pair_keys(pairs[:, 0], pairs[:, 1], count)
        for a, b in pairs.tolist():
            self.cannot_link[a].add(b)
            self.cannot_link[b].add(a)

    def run(self, edges: Edges, slack: float) -> Ints:
        count = len(self.root)
        keys = _pair_keys(self.groups[edges.a], self.groups[edges.b], count)
        a, b = keys // count, keys % count
        margin = self._margin(a, b)
        while True:
            keep = margin >= np.float32(-self.threshold.tolerance)
            keep &= ~self._forbidden(a, b)
            a, b, margin = a[keep], b[keep], margin[keep]
            if not (margin >= 0).any():
                break
            changed = self._merge_nearest(a, b, margin, slack)
            a, b, margin = self._update_edges(a, b, margin, changed)
        return merge_groups(self.root)

    def _margin(self, a: Ints, b: Ints) -> Array:
        """(e,) by how much groups exceed their threshold."""
        similarity = dots(self.sums, a, b) / (self.sizes[a] * self.sizes[b])
        margin = similarity - self.threshold.for_sizes(self.sizes[a], self.sizes[b])
        if self.threshold.normalize:
            margin -= (self.offsets[a] / self.sizes[a] + self.offsets[b] / self.sizes[b]) / 2
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

    def _merge_nearest(self, a: Ints, b: Ints, margin: Array, slack: float) -> Flags:
        """Merge each pair that is nearest from one side and within `slack` of it from the other."""
        best = np.full(len(self.root), -np.inf, np.float32)
        np.maximum.at(best, a, margin)
        np.maximum.at(best, b, margin)
        low, high = np.minimum(best[a], best[b]), np.maximum(best[a], best[b])
        near = (margin >= low) & (margin >= high - np.float32(slack))
        chosen = np.flatnonzero(near & (margin >= 0))
        # Best first, then by number: the result is deterministic.
        chosen = chosen[np.lexsort((b[chosen], a[chosen], -margin[chosen]))]
        changed = np.zeros(len(self.root), bool)
        taken = np.zeros(len(self.root), bool)
        for place in chosen:
            self._merge(int(a[place]), int(b[place]), changed, taken)
        return changed

    def _merge(self, a: int, b: int, changed: Flags, taken: Flags) -> None:
        """Merge two groups; `changed` groups grew in this round, `taken` ones joined another.

        Two groups that both grew are not merged: their similarity is out of date.
        """
        if taken[a] or taken[b] or (changed[a] and changed[b]):
            return
        if changed[b] or (not changed[a] and self.sizes[b] > self.sizes[a]):
            a, b = b, a
        if b in self.cannot_link.get(a, ()):
            return
        self.sums[a] += self.sums[b]
        self.sizes[a] += self.sizes[b]
        self.offsets[a] += self.offsets[b]
        self.root[b] = a
        changed[a] = taken[b] = True
        for other in self.cannot_link.pop(b, ()):
            self.cannot_link[other].discard(b)
            self.cannot_link[other].add(a)
            self.cannot_link[a].add(other)

    def _update_edges(
        self, a: Ints, b: Ints, margin: Array, changed: Flags
    ) -> tuple[Ints, Ints, Array]:
        count = len(self.root)
        a, b = self.root[a], self.root[b]  # one step reaches the root: taken groups take in nothing
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
    """Follow (n,) parents to their roots, and number these from 0 by first member."""
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
