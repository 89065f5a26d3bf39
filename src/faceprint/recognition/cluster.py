"""Clustering: the people in an album, without knowing who or how many they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceprint._text import counted
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import UsageError
from faceprint.recognition.albums.corrections import Corrections, locate_corrections
from faceprint.recognition.albums.corrections_store import load_constraints, store_corrections
from faceprint.recognition.albums.faces import collect
from faceprint.recognition.albums.people import Album, MissingPhotograph, arrange
from faceprint.recognition.albums.people_store import (
    missing_photographs,
    named_people,
    store_people,
)
from faceprint.recognition.albums.store import AlbumFile, Stored
from faceprint.recognition.albums.sync import sync_results
from faceprint.recognition.clustering.constraints import FaceConstraints
from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.recognition.clustering.mapped_rows import take_rows
from faceprint.recognition.clustering.partition import number_by_size, partition
from faceprint.recognition.clustering.tasks import Run
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds.default_merge_threshold import (
    album_points,
    check_fmr,
    default_merge_threshold,
)
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold
from faceprint.recognition.thresholds.min_quality import QualityFilter
from faceprint.recognition.thresholds.operating_points import check_threshold
from faceprint.types import AnalyzedImage

__all__ = ["ClusterOptions", "cluster", "cluster_album", "cluster_table", "stored_album"]

_DEFAULT_FILTER = QualityFilter()
_TAKEN_OUT = "taken out by hand"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """How faces are clustered.

    Attributes:
        detector: card id of the detector that found the faces; empty if unknown.
        threshold: mean cosine similarity at which two groups are one person, whatever their sizes.
            Without it and `fmr`, the model's operating points and the number of faces decide.
        fmr: use the threshold at this false match rate.
        quality_filter: what a face needs to be clustered; the others stay in `unassigned`.
        exact: compare every pair of faces; None does so up to 20,000.
        run: finds the neighbors; None means threads of this process.

    Raises:
        UsageError: both rules are given, or one is out of range.
    """

    detector: str = ""
    threshold: float | None = None
    fmr: float | None = None
    quality_filter: QualityFilter = _DEFAULT_FILTER
    exact: bool | None = None
    run: Run | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_threshold(self.threshold)
            if self.fmr is not None:
                raise UsageError("give fmr or threshold, not both")
        if self.fmr is not None:
            check_fmr(self.fmr)

    def merge_threshold(self, table: EmbeddingTable) -> MergeThreshold:
        """The merge threshold for these faces.

        Raises:
            UsageError: nothing leads to a threshold (few photographs, a model nobody measured).
        """
        if self.threshold is not None or not len(table):
            given = 1.0 if self.threshold is None else self.threshold
            return MergeThreshold.constant(given, "given by the caller", "given")
        size, yaw = table.quality[:, 0], table.quality[:, 2]
        # Faces with a quality but no yaw had no landmarks: they were aligned from their boxes.
        aligned = not np.isfinite(size).any() or not np.isnan(yaw).all()
        return default_merge_threshold(
            album_points(table.embedder, self.detector, aligned=bool(aligned)),
            len(table),
            self.fmr,
            estimate=lambda: unsupervised_distributions(table.vectors, table.sources),
        )


def cluster(
    results: Iterable[AnalyzedImage],
    *,
    detector: str = "",
    threshold: float | None = None,
    fmr: float | None = None,
    corrections: Corrections | None = None,
    state: str | Path | None = None,
    quality_filter: QualityFilter = _DEFAULT_FILTER,
) -> Album:
    """Cluster the faces of photographs into people.

    Args:
        results: from `FaceAnalyzer.analyze_many`; the stream is read once.
        detector, threshold, fmr, quality_filter: see `ClusterOptions`.
        corrections: the owner's; `read_corrections` reads a file of them.
        state: an album file that keeps photographs, ids, names and corrections for the next call;
            photographs that it already holds are skipped.

    Raises:
        UsageError: no threshold can be derived, both rules are given, or corrections contradict
            each other.
        ModelMismatchError: faces of several models.
    """
    options = ClusterOptions(detector, threshold, fmr, quality_filter)
    corrections = corrections or Corrections()
    if state is None:
        return cluster_table(collect(results), corrections, options)
    with AlbumFile(Path(state)) as album:
        failed = sync_results(album, results).failed
        return cluster_album(album, corrections, options, failed=failed)


def cluster_table(
    table: EmbeddingTable, corrections: Corrections, options: ClusterOptions
) -> Album:
    """Cluster the faces of a table; ids count from 1, the most photographed person first."""
    threshold = options.merge_threshold(table)
    constraints, names, missing = locate_corrections(corrections, table.sources, table.boxes)
    labels, reasons = _label_faces(table, constraints, threshold, options)
    ids = labels.copy()
    ids[labels >= 0] = 1 + number_by_size(labels[labels >= 0])
    name_of = {int(ids[row]): name for row, name in names}
    people, unassigned = arrange(table, ids, reasons, threshold, name_of)
    notes: tuple[str, ...] = ()
    if missing:
        faces = counted(len(missing), "face that is", "faces that are")
        notes = (f"corrections name {faces} not in the album",)
    return Album(people, unassigned, threshold, table.embedder, table.failed, notes)


def cluster_album(
    album: AlbumFile,
    corrections: Corrections,
    options: ClusterOptions,
    *,
    failed: tuple[tuple[str, str], ...] = (),
) -> Album:
    """Store corrections in an album file, cluster its faces, and store their people.

    Args:
        failed: photographs that could not be added, with the reason.
    """
    notes = store_corrections(album, corrections)
    stored = album.stored()
    threshold = options.merge_threshold(stored.table)
    constraints = load_constraints(album, stored)
    labels, reasons = _label_faces(stored.table, constraints, threshold, options, stored.photos)
    ids = store_people(album, stored, labels)
    return _album(album, stored, ids, reasons, threshold, notes, failed)


def stored_album(album: AlbumFile, threshold: MergeThreshold) -> Album:
    """The people of an album file as they are stored, without clustering its faces again.

    Args:
        threshold: below it a face is `doubtful`.
    """
    stored = album.stored()
    reasons = [reason or _TAKEN_OUT for reason in _DEFAULT_FILTER.reasons(stored.table.quality)]
    return _album(album, stored, stored.people, reasons, threshold)


def _album(
    album: AlbumFile,
    stored: Stored,
    ids: Ints,
    reasons: Sequence[str],
    threshold: MergeThreshold,
    notes: tuple[str, ...] = (),
    failed: tuple[tuple[str, str], ...] = (),
) -> Album:
    # Faces of missing photographs help to cluster the others, and are not shown.
    present = np.flatnonzero(~stored.missing)
    people, unassigned = arrange(
        stored.table.pick(present),
        ids[present],
        [reasons[i] for i in present.tolist()],
        threshold,
        named_people(album),
        stored.keys[present],
    )
    missing = missing_photographs(album)
    return Album(
        people,
        unassigned,
        threshold,
        stored.table.embedder,
        failed,
        (*notes, *_missing_notes(missing)),
        missing,
    )


def _label_faces(
    table: EmbeddingTable,
    constraints: FaceConstraints,
    threshold: MergeThreshold,
    options: ClusterOptions,
    photos: Ints | None = None,
) -> tuple[Ints, list[str]]:
    """(n,) labels from 0, -1 for faces left out, and why each was left out (empty: it was not).

    A face that must be linked takes part whatever its quality.

    Args:
        photos: (n,) the photograph of each face; None takes it from `sources`.
    """
    reasons = options.quality_filter.reasons(table.quality)
    linked = [row for pair in (*constraints.must_link, *constraints.keep_together) for row in pair]
    take = np.asarray([not reason for reason in reasons], bool)
    take[linked] = True
    chosen = np.flatnonzero(take)
    if photos is None:
        numbers: dict[str, int] = {}
        photos = np.asarray([numbers.setdefault(s, len(numbers)) for s in table.sources], np.int64)
    labels = np.full(len(table), -1)
    labels[chosen] = partition(
        take_rows(table.vectors, chosen),
        threshold,
        constraints.among(chosen, len(table)),
        photos=photos[chosen],
        exact=options.exact,
        run=options.run,
    )
    return labels, ["" if taken else why for taken, why in zip(take, reasons, strict=True)]


def _missing_notes(missing: tuple[MissingPhotograph, ...]) -> tuple[str, ...]:
    if not missing:
        return ()
    names = sorted({name for one in missing for name in one.names})
    count = f"{len(missing)} photograph{'s' if len(missing) > 1 else ''}"
    of_people = f", with the names {', '.join(names)}" if names else ""
    return (f"{count} could not be found; kept in the album{of_people}",)
