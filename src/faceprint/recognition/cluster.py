"""Clustering: the people in an album, without knowing who or how many they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import UsageError
from faceprint.recognition.albums.corrections import Corrections, find_faces
from faceprint.recognition.albums.corrections_store import check_consistent, correct
from faceprint.recognition.albums.faces import QualityFilter, collect
from faceprint.recognition.albums.incremental import (
    keep_people,
    links_of,
    missing_photographs,
    named_people,
)
from faceprint.recognition.albums.people import Album, MissingPhotograph, arrange
from faceprint.recognition.albums.sorting import Links, partition, sort_faces
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.albums.strictness import check_merge_options, merge_threshold_for
from faceprint.recognition.albums.sync import sync_results
from faceprint.recognition.clustering.constraints import Pairs
from faceprint.recognition.clustering.knn_graph import Ints
from faceprint.recognition.clustering.tasks import Run
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold, ScoreDistributions
from faceprint.similarity import normalize
from faceprint.types import AnalyzedImage, Array

__all__ = [
    "check_merge_options",
    "cluster",
    "cluster_embeddings",
    "cluster_file",
    "cluster_table",
    "merge_threshold_for",
]

_FIT = QualityFilter()


def cluster(
    results: Iterable[AnalyzedImage],
    *,
    detector: str = "",
    threshold: float | None = None,
    fmr: float | None = None,
    corrections: Corrections | None = None,
    state: str | Path | None = None,
    fitness: QualityFilter = _FIT,
) -> Album:
    """Sort the faces of photographs into people.

    Args:
        results: what `FaceAnalyzer.analyze_many` yields; the stream is read once.
        detector: card id of the detector, where the embedder was measured with several.
        threshold: mean cosine similarity from which two groups are one person, whatever their
            sizes. Without it and `fmr` the model's operating points and the number of faces decide.
        fmr: derive that threshold from this false match rate.
        corrections: what the owner says; `read_corrections` reads a file of them.
        state: an album file that keeps photographs, ids, names and corrections for the next call;
            photographs that are in it already are passed over.
        fitness: what a face needs to be sorted; others wait in `unassigned` with the reason.

    Raises:
        UsageError: no threshold can be derived (few photographs, a model that nobody measured),
            both rules were given, or corrections contradict each other.
        ModelMismatchError: faces of several models.
    """
    check_merge_options(threshold, fmr)
    if state is None:
        table = collect(results)
        return cluster_table(
            table,
            merge_threshold_for(table, detector, threshold=threshold, fmr=fmr),
            corrections or Corrections(),
            fitness,
        )
    with AlbumFile(Path(state)) as album:
        failed = sync_results(album, results).failed
        notes = correct(album, corrections or Corrections())
        demand = merge_threshold_for(album.stored().table, detector, threshold=threshold, fmr=fmr)
        done = cluster_file(album, demand, fitness)
    return replace(done, failed=failed, notes=(*notes, *done.notes))


def cluster_table(
    table: EmbeddingTable,
    demand: MergeThreshold,
    corrections: Corrections,
    fitness: QualityFilter = _FIT,
    run: Run | None = None,
) -> Album:
    """Sort the faces of a table; ids count from 1, the most photographed person first.

    Args:
        run: who looks for neighbors; threads of this process when None.
    """
    pairs = (*corrections.must_link, *corrections.cannot_link)
    keys = [key for pair in pairs for key in pair] + [key for key, _ in corrections.names]
    rows = find_faces(keys, table.sources, table.boxes)
    kinds = []
    for section in (corrections.must_link, corrections.cannot_link):
        found = [(rows[a], rows[b]) for a, b in section]
        kinds.append([(a, b) for a, b in found if a is not None and b is not None and a != b])
    check_consistent(*kinds)
    links = Links(tuple(kinds[0]), tuple(kinds[1]))
    labels, reasons = sort_faces(table, demand, links, fitness, run)
    ids = labels.copy()
    ids[labels >= 0] = 1 + by_size(labels[labels >= 0])
    names = {
        int(ids[row]): name for key, name in corrections.names if (row := rows[key]) is not None
    }
    people, waiting = arrange(table, ids, reasons, demand, names)
    lost = sum(row is None for row in rows.values())
    notes = (f"corrections name {lost} faces that are not in the album",) if lost else ()
    return Album(people, waiting, demand, table.embedder, table.failed, notes)


def cluster_file(
    album: AlbumFile, demand: MergeThreshold, fitness: QualityFilter = _FIT, run: Run | None = None
) -> Album:
    """Sort the faces of an album file and keep the outcome in it; `run` as in `cluster_table`."""
    stored = album.stored()
    links = links_of(album, stored)
    labels, reasons = sort_faces(stored.table, demand, links, fitness, run, photos=stored.photos)
    ids = keep_people(album, stored, labels)
    # Faces of missing photographs help to sort the others, and wait.
    there = np.flatnonzero(~stored.missing)
    names = named_people(album)
    people, waiting = arrange(
        stored.table.pick(there), ids[there], [reasons[i] for i in there], demand, names
    )
    missing = missing_photographs(album)
    return Album(
        people,
        waiting,
        demand,
        stored.table.embedder,
        notes=_said_of(missing),
        missing=missing,
    )


def _said_of(missing: tuple[MissingPhotograph, ...]) -> tuple[str, ...]:
    if not missing:
        return ()
    names = sorted({name for one in missing for name in one.names})
    whom = f", with what was said of {', '.join(names)}" if names else ""
    count = f"{len(missing)} photograph{'s' if len(missing) > 1 else ''}"
    return (f"{count} could not be found and wait{'' if len(missing) > 1 else 's'}{whom}",)


def cluster_embeddings(
    vectors: ArrayLike,
    *,
    threshold: float | ScoreDistributions,
    quality: ArrayLike | None = None,
    photos: ArrayLike | None = None,
    must_link: Pairs = (),
    cannot_link: Pairs = (),
    exact: bool | None = None,
) -> Ints:
    """Sort embeddings of one model into people.

    Args:
        vectors: (n, d), of unit length or not.
        threshold: mean cosine similarity from which two groups are one person, or how a model's
            similarities are distributed (`score_distributions` of its operating points), from which
            the threshold for groups of each size follows.
        quality: (n,) 0..1, how much each face counts; all alike when None.
        photos: (n,) which photograph each face is in: two faces of one photograph are two people.
        must_link, cannot_link: pairs of rows; in `cannot_link` the first is the one that does not
            belong. The owner's word goes before everything else.
        exact: compare every pair of faces; None does so up to 20,000.

    Returns:
        (n,) int64 labels from 0, the most frequent first; everybody has one, strangers their own.

    Raises:
        UsageError: shapes that do not fit, a threshold outside -1..1, or contradictory corrections.
    """
    rows = np.asarray(vectors, np.float32)
    if rows.ndim != 2:
        raise UsageError(f"vectors {rows.shape} are not (n, d)")
    if isinstance(threshold, ScoreDistributions):
        demand = threshold.demand(len(rows))
    elif math.isfinite(threshold) and -1 <= threshold <= 1:
        demand = MergeThreshold.constant(threshold)
    else:
        raise UsageError(f"threshold is {threshold}; a cosine similarity lies in -1..1")
    if not len(rows):
        return np.empty(0, np.int64)
    rows, _ = normalize(rows)
    weights = None if quality is None else _weights(np.asarray(quality, np.float32), len(rows))
    links = Links(tuple(must_link), tuple(cannot_link))
    names = None if photos is None else np.asarray(photos)
    return by_size(partition(rows, demand, links, photos=names, weights=weights, exact=exact))


def by_size(labels: NDArray[np.int64]) -> Ints:
    """Number labels anew, the most frequent first and equals by first member."""
    _, first, numbers, counts = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(counts), np.int64)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return np.asarray(rank[numbers], np.int64)


def _weights(quality: Array, n: int) -> Array:
    if quality.shape != (n,) or not np.isfinite(quality).all() or (quality < 0).any():
        raise UsageError(f"quality {quality.shape} is not ({n},) numbers of 0 or more")
    # A poor face says less about its person, never nothing.
    return np.asarray(0.5 + 0.5 * np.minimum(quality, 1), np.float32)
