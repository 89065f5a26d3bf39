"""Cluster embeddings: neighbor graph, score normalization, constraints and average linkage."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.recognition.clustering.constraints import (
    FaceConstraints,
    GroupConstraints,
    Pairs,
    group_constraints,
    merged_sets,
)
from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.recognition.clustering.knn_graph import Edges, neighbor_graph
from faceprint.recognition.clustering.linkage import average_linkage
from faceprint.recognition.clustering.score_normalization import as_norm
from faceprint.recognition.clustering.tasks import Run
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold, ScoreDistributions
from faceprint.recognition.thresholds.operating_points import check_threshold
from faceprint.similarity import normalize
from faceprint.types import Array

__all__ = ["NEIGHBORS", "cluster_embeddings", "number_by_size", "partition"]

NEIGHBORS = 32
"""Neighbors per face in the graph."""

_NONE = FaceConstraints()


def cluster_embeddings(
    vectors: ArrayLike,
    *,
    threshold: float | ScoreDistributions,
    photos: ArrayLike | None = None,
    must_link: Pairs = (),
    cannot_link: Pairs = (),
    exact: bool | None = None,
) -> Ints:
    """Cluster the embeddings of one model into people.

    Args:
        vectors: (n, d), of unit length or not.
        threshold: mean cosine similarity at which two groups are one person; or the distributions
            of a model's similarities (`score_distributions` of its operating points), from which
            the threshold for groups of each size follows.
        photos: (n,) the photograph of each face: two faces of one photograph are two people.
        must_link, cannot_link: pairs of rows; in `cannot_link` the first is the one that does not
            belong. They go before everything else.
        exact: compare every pair of faces; None does so up to 20,000.

    Returns:
        (n,) int64 labels from 0, the most frequent first; a face like no other has its own label.

    Raises:
        UsageError: shapes that do not fit, a threshold outside -1..1, or contradictory corrections.
    """
    rows = np.asarray(vectors, np.float32)
    if rows.ndim != 2:
        raise UsageError(f"vectors {rows.shape} are not (n, d)")
    if isinstance(threshold, ScoreDistributions):
        merge_threshold = threshold.merge_threshold(len(rows))
    else:
        merge_threshold = MergeThreshold.constant(check_threshold(threshold))
    if not len(rows):
        return np.empty(0, np.int64)
    rows, _ = normalize(rows)
    labels = partition(
        rows,
        merge_threshold,
        FaceConstraints(tuple(must_link), tuple(cannot_link)),
        photos=None if photos is None else np.asarray(photos),
        exact=exact,
    )
    return number_by_size(labels)


def partition(
    vectors: Array,
    threshold: MergeThreshold,
    constraints: FaceConstraints = _NONE,
    *,
    photos: NDArray[np.generic] | None = None,
    exact: bool | None = None,
    run: Run | None = None,
) -> Ints:
    """(n,) labels from 0 of (n, d) unit rows, in no particular order.

    Args:
        photos, exact: see `cluster_embeddings`.
        run: finds the neighbors; None means threads of this process.

    Raises:
        UsageError: contradictory constraints.
    """
    if not len(vectors):
        return np.empty(0, np.int64)
    edges = neighbor_graph(vectors, k=NEIGHBORS, floor=threshold.floor, exact=exact, run=run)
    offsets: Array | None = None

    def link(limits: GroupConstraints, groups: Ints, part: Edges) -> Ints:
        initial = _coarser(limits.groups, groups)
        pairs = ((int(initial[a]), int(initial[b])) for a, b in limits.cannot_link)
        return average_linkage(
            vectors,
            part,
            threshold,
            offsets=offsets,
            groups=groups,
            cannot_link={(a, b) for a, b in pairs if a != b},
        )[groups]

    def constrain(must_link: Iterable[tuple[int, int]]) -> GroupConstraints:
        return group_constraints(
            vectors,
            photos=photos,
            must_link=must_link,
            cannot_link=constraints.cannot_link,
            keep_apart=constraints.keep_apart,
            same_photo=threshold.same_photo,
        )

    must_link = constraints.must_link
    strict = constrain((*must_link, *constraints.keep_together))  # refuses contradictions
    if threshold.normalize:
        offsets = as_norm(edges, link(strict, strict.groups, edges), threshold.floor)
    limits = constrain(constraints.keep_together) if must_link else strict
    groups = limits.groups
    if limits.deferred.any() or must_link:
        free = ~(limits.deferred[groups[edges.a]] | limits.deferred[groups[edges.b]])
        groups = link(limits, groups, Edges(edges.a[free], edges.b[free], edges.similarity[free]))
        pairs = [(int(groups[a]), int(groups[b])) for a, b in must_link]
        groups = merged_sets(int(groups.max()) + 1, pairs)[groups]
        apart = (*constraints.cannot_link, *constraints.keep_apart)
        if any(groups[a] == groups[b] for a, b in apart):
            # Joining whole people breaks a constraint: join only the faces that were named.
            limits, groups = strict, strict.groups
    return link(limits, groups, edges)


def number_by_size(labels: Ints) -> Ints:
    """Renumber labels from 0, the most frequent first, then by first member."""
    _, first, numbers, counts = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    new = np.empty(len(counts), np.int64)
    new[np.lexsort((first, -counts))] = np.arange(len(counts))
    return np.asarray(new[numbers], np.int64)


def _coarser(fine: Ints, coarse: Ints) -> Ints:
    """For each group of `fine`, (n,), the group of `coarse`, (n,), that it is in."""
    group = np.empty(int(fine.max(initial=-1)) + 1, np.int64)
    group[fine] = coarse
    return group
