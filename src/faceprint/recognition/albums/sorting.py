"""From faces and corrections to labels: the one way, for an album in memory and one in a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.recognition.albums.faces import QualityFilter
from faceprint.recognition.clustering.constraints import Constraints, Pairs, constrain, merged_sets
from faceprint.recognition.clustering.knn_graph import Edges, Ints, neighbor_graph
from faceprint.recognition.clustering.linkage import average_linkage
from faceprint.recognition.clustering.mapped_rows import take_rows
from faceprint.recognition.clustering.tasks import Run
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold, as_norm
from faceprint.types import Array

__all__ = ["NEIGHBORS", "Links", "partition", "sort_faces"]

NEIGHBORS = 32


@dataclass(frozen=True, slots=True)
class Links:
    """Corrections by row.

    Attributes:
        must: the people of these two faces are one person, all of their faces.
        cannot: two people; the first face is the one that does not belong.
        pins: these faces stay together, as the people with a name do.
        separate: two people without anybody having said so of these very faces.
    """

    must: tuple[tuple[int, int], ...] = ()
    cannot: tuple[tuple[int, int], ...] = ()
    pins: tuple[tuple[int, int], ...] = ()
    separate: tuple[tuple[int, int], ...] = ()


def sort_faces(
    table: EmbeddingTable,
    demand: MergeThreshold,
    links: Links,
    fitness: QualityFilter,
    run: Run | None = None,
    *,
    photos: Ints | None = None,
) -> tuple[Ints, tuple[str, ...]]:
    """(n,) labels from 0, -1 for faces that wait, and the reason of each (empty: none).

    A face that the owner linked takes part whatever its quality.

    Args:
        run: finds the neighbors.
        photos: (n,) the photograph of each face, where its name does not tell.
    """
    reasons = fitness.reasons(table.quality)
    spoken_for = np.zeros(len(table), bool)
    for a, b in (*links.must, *links.pins):
        spoken_for[[a, b]] = True
    chosen = np.flatnonzero(spoken_for | (np.asarray(reasons, object) == ""))
    place = np.full(len(table), -1)
    place[chosen] = np.arange(len(chosen))

    def within(pairs: Pairs) -> list[tuple[int, int]]:
        moved = ((int(place[a]), int(place[b])) for a, b in pairs)
        return [(a, b) for a, b in moved if a >= 0 and b >= 0]

    labels = np.full(len(table), -1)
    numbers: dict[str, int] = {}
    if photos is None:
        photos = np.asarray([numbers.setdefault(name, len(numbers)) for name in table.sources])
    labels[chosen] = partition(
        take_rows(table.vectors, chosen),
        demand,
        Links(*(tuple(within(p)) for p in (links.must, links.cannot, links.pins, links.separate))),
        photos=photos[chosen] if len(chosen) else np.empty(0, np.int64),
        run=run,
    )
    waiting = tuple("" if at >= 0 else why for at, why in zip(place, reasons, strict=True))
    return labels, waiting


def partition(
    vectors: Array,
    demand: MergeThreshold,
    links: Links,
    *,
    photos: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None = None,
    weights: Array | None = None,
    exact: bool | None = None,
    run: Run | None = None,
) -> Ints:
    """(n,) labels from 0 of unit rows, in no particular order."""
    if not len(vectors):
        return np.empty(0, np.int64)
    edges = neighbor_graph(vectors, k=NEIGHBORS, least=demand.least, exact=exact, run=run)

    crowded: Array | None = None

    def linked(limits: Constraints, groups: Ints, part: Edges) -> Ints:
        place = coarser(limits.groups, groups)
        apart = {(int(place[a]), int(place[b])) for a, b in limits.apart if place[a] != place[b]}
        return average_linkage(
            vectors, part, demand, weights=weights, crowded=crowded, groups=groups, apart=apart
        )[groups]

    def limits_with(must: tuple[tuple[int, int], ...]) -> Constraints:
        return constrain(
            vectors,
            photos=photos,
            must_link=must,
            cannot_link=links.cannot,
            separate=links.separate,
            twins=demand.twins,
        )

    strict = limits_with((*links.must, *links.pins))  # refuses what contradicts itself
    if demand.crowded:
        crowded = as_norm(edges, linked(strict, strict.groups, edges), demand.least)
    limits = limits_with(links.pins) if links.must else strict
    groups = limits.groups
    if limits.held.any() or links.must:
        free = ~(limits.held[groups[edges.a]] | limits.held[groups[edges.b]])
        first = Edges(edges.a[free], edges.b[free], edges.similarity[free])
        groups = linked(limits, groups, first)
        joined = merged_sets(int(groups.max()) + 1, [(groups[a], groups[b]) for a, b in links.must])
        groups = joined[groups]
        if any(groups[a] == groups[b] for a, b in (*links.cannot, *links.separate)):
            # The people as they were found cannot be joined whole: then only the faces named are.
            limits, groups = strict, strict.groups
    return linked(limits, groups, edges)


def coarser(fine: Ints, coarse: Ints) -> Ints:
    """For each group of `fine`, (n,), the group of `coarse`, (n,), that it is in."""
    place = np.empty(int(fine.max(initial=-1)) + 1, np.int64)
    place[fine] = coarse
    return place
