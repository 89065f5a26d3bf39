"""Must-link and cannot-link constraints are always kept; faces of one photograph are apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import labeled_people

from faceprint.errors import UsageError
from faceprint.recognition.clustering.constraints import merged_sets
from faceprint.recognition.clustering.partition import cluster_embeddings
from faceprint.recognition.thresholds.merge_threshold import (
    ScoreDistributions,
)


def test_two_faces_of_one_photograph_are_two_people_but_a_mirror_is_one():
    rows, _ = labeled_people(1, 3, noise=0.7)
    assert len(set(cluster_embeddings(rows, threshold=0.4).tolist())) == 1
    apart = cluster_embeddings(rows, threshold=0.4, photos=["a", "a", "b"])
    assert apart[0] != apart[1]
    twice = np.stack([rows[0], rows[0], rows[2]])
    assert len(set(cluster_embeddings(twice, threshold=0.4, photos=["a", "a", "b"]).tolist())) == 1


def test_a_face_that_was_taken_out_takes_nobody_along():
    rows, _ = labeled_people(1, 12, noise=0.3)
    links = [(0, i) for i in range(1, 6)]
    labels = cluster_embeddings(rows, threshold=0.4, cannot_link=links)
    assert len(set(labels[1:].tolist())) == 1
    assert labels[0] != labels[1]


pairs = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=12)


@given(pairs, pairs, st.lists(st.integers(0, 12), min_size=30, max_size=30))
@settings(max_examples=60, deadline=None)
def test_corrections_are_always_obeyed(must, cannot, photos):
    rows, _ = labeled_people(6, 5, noise=0.8)
    groups = merged_sets(30, must)
    cannot = [(a, b) for a, b in cannot if groups[a] != groups[b]]
    labels = cluster_embeddings(
        rows, threshold=0.3, must_link=must, cannot_link=cannot, photos=photos
    )
    assert all(labels[a] == labels[b] for a, b in must)
    assert all(labels[a] != labels[b] for a, b in cannot)


def test_contradictions_and_nonsense_are_refused():
    rows, _ = labeled_people(2, 3)
    with pytest.raises(UsageError, match="must and must not"):
        cluster_embeddings(rows, threshold=0.5, must_link=[(0, 1), (1, 2)], cannot_link=[(0, 2)])
    with pytest.raises(UsageError, match="there are 0 to 5"):
        cluster_embeddings(rows, threshold=0.5, must_link=[(0, 6)])
    with pytest.raises(UsageError, match="cosine"):
        cluster_embeddings(rows, threshold=float("nan"))
    with pytest.raises(UsageError, match=r"not \(n, d\)"):
        cluster_embeddings(rows[0], threshold=0.5)


def test_a_collage_is_one_person_and_neighbors_in_a_photograph_are_two():
    # The starter pack on a collage of two photographs: 0.957, and 0.967 between the photographs.
    def at(*cosines: float):
        """Unit rows with these similarities to the first axis, in a plane of their own."""
        return [[c, *(np.sqrt(1 - c * c) * (np.arange(9) == i))] for i, c in enumerate(cosines)]

    starter = ScoreDistributions(0.8659, 0.0208, 4.83, 1.088)  # as measured on LFW
    for alike, threshold in ((0.967, 0.939), (0.967, starter), (0.957, starter)):
        rows = np.array(at(*[np.sqrt(alike)] * 3), np.float32)
        for photos in ([0, 0, 1], [0, 0, 0], [0, 1, 2]):
            labels = cluster_embeddings(rows, threshold=threshold, photos=photos)
            assert len(set(labels.tolist())) == 1
    rows = np.array(at(*[np.sqrt(0.945)] * 2), np.float32)
    assert len(set(cluster_embeddings(rows, threshold=0.939, photos=[0, 1]).tolist())) == 1
    assert len(set(cluster_embeddings(rows, threshold=0.939, photos=[0, 0]).tolist())) == 2
    # The first is like the third by the second: 0.966 and 0.866 where 0.9 is needed.
    angles = np.deg2rad([0, 15, 30])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = cluster_embeddings(rows, threshold=0.85, photos=[0, 0, 0])
    assert len(set(labels.tolist())) == 1
