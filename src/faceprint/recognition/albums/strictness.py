"""How similar the faces of an album must be to be one person, and on what evidence."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import UnknownModelError, UsageError
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds.edges import CLUSTER_FMR, clustering_point
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold, score_distributions
from faceprint.recognition.thresholds.operating_points import KnownPoints, known_points
from faceprint.zoo.catalog import get_card

__all__ = ["check_merge_options", "merge_threshold_for"]


def check_merge_options(threshold: float | None, fmr: float | None) -> None:
    """Refuse what `merge_threshold_for` would refuse, before photographs are analyzed for it.

    Raises:
        UsageError: both are given, or one is out of range.
    """
    if threshold is not None and fmr is not None:
        raise UsageError("give fmr or threshold, not both")
    if threshold is not None and not (math.isfinite(threshold) and -1 <= threshold <= 1):
        raise UsageError(f"threshold is {threshold}; a cosine similarity lies in -1..1")
    if fmr is not None and not 0 < fmr < 0.5:
        raise UsageError(f"fmr is {fmr}; clustering needs a rate between 0 and 0.5, as 1e-4")


def merge_threshold_for(
    table: EmbeddingTable,
    detector: str = "",
    *,
    threshold: float | None = None,
    fmr: float | None = None,
) -> MergeThreshold:
    """What joins these faces, by the best evidence that there is.

    A given threshold; else the operating points of this embedder with this detector; else what the
    album itself shows; else borrowed points or a published threshold (`known_points`). Where it is
    not known which detector found the faces, borrowed points go before the album.

    Args:
        detector: the id of the detector that found the faces; empty when that is not known.

    Raises:
        UsageError: both are given, one is out of range, or nothing leads to a threshold.
    """
    check_merge_options(threshold, fmr)
    if threshold is not None or not len(table):
        given = MergeThreshold.constant(
            1.0 if threshold is None else threshold, "given by the caller"
        )
        return replace(given, basis="given")
    known = _known(table, detector)
    found = None
    if known is not None and not (known.provisional and detector):
        found = _of_points(known, len(table), fmr)
    found = found or _of_album(table, fmr)
    if found is None and known is not None and known.points:
        found = _of_points(known, len(table), fmr) or _of_one(known, fmr)
    if found is not None:
        return found
    reason = (
        f"no threshold was measured for {table.embedder or 'these embeddings'}"
        if known is None
        else known.missing()
    )
    raise UsageError(f"{reason}; the album is too small to tell one from: give --threshold")


def _known(table: EmbeddingTable, detector: str) -> KnownPoints | None:
    try:
        card = get_card(table.embedder)
    except UnknownModelError:
        return None
    known = known_points(card, detector)
    if not detector and known.evidence is not None and _boxes_alone(table):
        reason = " with faces that were aligned from their boxes"
        return KnownPoints((), None, known.model, reason=reason)
    return known


def _boxes_alone(table: EmbeddingTable) -> bool:
    """Whether the faces have a quality but none has a yaw: then none had landmarks."""
    return bool(np.isfinite(table.quality[:, 0]).any() and np.isnan(table.quality[:, 2]).all())


def _of_points(known: KnownPoints, faces: int, fmr: float | None) -> MergeThreshold | None:
    """By the points of a model, both error rates of which are known at two rates or more."""
    basis = known.evidence or ""
    similarities = score_distributions(known.points)
    if fmr is None and similarities is not None:
        if known.evidence == "borrowed":
            similarities = replace(similarities, source=f"measured with others: {known.words}")
        return replace(similarities.demand(faces), basis=basis)
    point = clustering_point(known.points, fmr=CLUSTER_FMR if fmr is None else fmr)
    if point is None:
        return None
    stated = known.stated(point)
    return replace(MergeThreshold.constant(stated.threshold, stated.source), basis=basis)


def _of_album(table: EmbeddingTable, fmr: float | None) -> MergeThreshold | None:
    own = unsupervised_distributions(table.vectors, table.sources)
    if own is None:
        return None
    found = (
        own.demand(len(table)) if fmr is None else MergeThreshold.constant(own.at(fmr), own.source)
    )
    return replace(found, basis="album")


def _of_one(known: KnownPoints, fmr: float | None) -> MergeThreshold:
    """By a single point: its threshold for groups of every size.

    Raises:
        UsageError: no point has this rate.
    """
    point = known.choose(fmr)
    words = f"{point.name}, {point.source}" if known.evidence == "published" else point.source
    return replace(MergeThreshold.constant(point.threshold, words), basis=known.evidence or "")
