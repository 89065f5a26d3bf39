"""Score normalization by the similarity to strangers, against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from populations import labeled_people

from faceprint.recognition.clustering.knn_graph import Edges, neighbor_graph
from faceprint.recognition.clustering.score_normalization import as_norm


def test_a_face_like_many_strangers_is_crowded_and_its_own_person_does_not_count():
    rows, truth = labeled_people(20, 4, noise=0.3)
    shared = rows[:20].mean(axis=0) * 3
    rows[:20] += shared  # five people that resemble each other
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    excess = as_norm(neighbor_graph(rows, k=40, floor=0.1), truth, 0.1)
    assert excess[:20].min() > np.abs(excess[20:]).max()
    everybody = np.zeros(len(rows), np.int64)
    assert not as_norm(neighbor_graph(rows, k=40, floor=0.1), everybody, 0.1).any()


def test_crowding_is_the_mean_of_ten_strangers_over_the_median_face():
    # Face 0 has 12 strangers, each of which has it alone; the least counts for the missing ones.
    strangers = np.arange(1, 13)
    similarity = np.linspace(0.2, 0.42, 12, dtype=np.float32)
    edges = Edges(np.zeros(12, np.int64), strangers, similarity)
    excess = as_norm(edges, np.arange(13), 0.1)
    alone = (similarity - 0.1) / 10
    middle = np.median([np.sort(similarity)[-10:].mean() - 0.1, *alone])
    assert excess[0] == pytest.approx(np.sort(similarity)[-10:].mean() - 0.1 - middle, abs=1e-6)
    assert excess[1:] == pytest.approx(alone - middle, abs=1e-6)
