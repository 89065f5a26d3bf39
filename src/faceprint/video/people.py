"""The people of one video or of several: tracks put together that show the same person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from faceprint.recognition.clustering.constraints import FaceConstraints
from faceprint.recognition.clustering.partition import number_by_size, partition
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds.default_merge_threshold import default_merge_threshold
from faceprint.recognition.thresholds.default_threshold import model_points
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold
from faceprint.video.track import Track
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["TrackPeople", "TrackPerson", "cluster_tracks"]


@dataclass(frozen=True, slots=True)
class TrackPerson:
    """One person.

    Attributes:
        number: 1, 2, ...; the person with the most tracks first.
        subject: the name in the gallery; None for a stranger or without a gallery.
        tracks: places of the person's tracks among those given, in their order.
    """

    number: int
    subject: str | None
    tracks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrackPeople:
    """The people of some tracks.

    Attributes:
        people: by number.
        unassigned: places of the tracks without an embedding: no face of theirs is good enough.
        merge_threshold: the similarity at which two tracks show one person, and its evidence.
    """

    people: tuple[TrackPerson, ...]
    unassigned: tuple[int, ...]
    merge_threshold: MergeThreshold


def cluster_tracks(
    tracks: Sequence[Track], sources: Sequence[str], analyzer: FaceAnalyzer
) -> TrackPeople:
    """Cluster tracks by their embeddings, as `cluster` does faces.

    Two tracks of one video that were seen at the same time are two people. Tracks that the gallery
    gave the same name are one person, and tracks with different names are not.

    Args:
        tracks: of any number of videos.
        sources: the video of each track.
        analyzer: what made them; its operating points decide (`default_merge_threshold`).

    Raises:
        UsageError: no threshold is known for these models and the tracks are too few to estimate
            one.
    """
    chosen = [place for place, track in enumerate(tracks) if track.embedding is not None]
    unassigned = tuple(place for place, track in enumerate(tracks) if track.embedding is None)
    if not chosen:
        return TrackPeople((), unassigned, MergeThreshold.constant(1.0))
    vectors = np.stack([e.vector for place in chosen if (e := tracks[place].embedding) is not None])
    threshold = default_merge_threshold(
        model_points(analyzer),
        len(chosen),
        None,
        estimate=lambda: unsupervised_distributions(vectors, [str(place) for place in chosen]),
    )
    usable = [tracks[place] for place in chosen]
    together, apart = _by_name(usable)
    apart += _at_once(usable, [sources[place] for place in chosen])
    constraints = FaceConstraints(keep_together=tuple(together), keep_apart=tuple(apart))
    labels = number_by_size(partition(vectors, threshold, constraints))
    people = []
    for label in range(int(labels.max()) + 1):
        places = tuple(chosen[row] for row in np.flatnonzero(labels == label).tolist())
        names = {tracks[place].subject for place in places} - {None}
        people.append(TrackPerson(label + 1, min(names, default=None, key=str), places))
    return TrackPeople(tuple(people), unassigned, threshold)


def _by_name(tracks: Sequence[Track]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs that the gallery says are one person, and pairs that it says are two."""
    rows: dict[str, list[int]] = {}
    for row, track in enumerate(tracks):
        if track.subject is not None:
            rows.setdefault(track.subject, []).append(row)
    together = [pair for members in rows.values() for pair in pairwise(members)]
    return together, list(combinations([members[0] for members in rows.values()], 2))


def _at_once(tracks: Sequence[Track], sources: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of tracks of one video that overlap in time."""
    active: dict[str, list[int]] = {}
    for row in sorted(range(len(tracks)), key=lambda row: tracks[row].start):
        others = active.setdefault(sources[row], [])
        others[:] = [other for other in others if tracks[other].end >= tracks[row].start]
        yield from ((other, row) for other in others)
        others.append(row)
