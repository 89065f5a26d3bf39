"""The exact neighbor graph, against plain products."""

from __future__ import annotations

import numpy as np
import pytest
from populations import assert_same_edges, edge_set, plain_neighbors, shuffled_people

from faceprint.recognition.clustering.knn_graph import neighbor_graph


@pytest.mark.parametrize(("k", "least"), [(1, 0.3), (4, 0.3), (32, 0.5), (399, -1.0)])
@pytest.mark.parametrize("seed", range(3))
def test_the_exact_graph_is_that_of_plain_products(k, least, seed, monkeypatch):
    rows = shuffled_people(50, 8, noise=0.8, seed=seed)
    expected = plain_neighbors(rows, k, least)
    whole = neighbor_graph(rows, k=k, floor=least, exact=True)
    assert edge_set(whole) == expected
    np.testing.assert_allclose(
        whole.similarity, np.einsum("ed,ed->e", rows[whole.a], rows[whole.b]), atol=1e-6
    )
    order = whole.a * len(rows) + whole.b
    assert (np.diff(order) > 0).all()
    assert (whole.a < whole.b).all()
    monkeypatch.setattr("faceprint.recognition.clustering.knn_graph._BLOCK", 64)
    assert_same_edges(neighbor_graph(rows, k=k, floor=least, exact=True), whole)
    monkeypatch.setattr("faceprint.recognition.clustering.knn_graph._HELD", 100)
    assert_same_edges(neighbor_graph(rows, k=k, floor=least, exact=True), whole)


def test_a_crowd_keeps_the_nearest_and_no_more():
    rows = shuffled_people(1, 1500, noise=0.5)
    edges = neighbor_graph(rows, k=8, floor=0.1, exact=True)
    assert edge_set(edges) == plain_neighbors(rows, 8, 0.1)


def test_no_faces_one_face_and_no_neighbors():
    for rows in (
        np.empty((0, 8), np.float32),
        shuffled_people(1, 1),
        np.eye(300, dtype=np.float32),
    ):
        for exact in (True, False):
            assert len(neighbor_graph(rows, k=4, floor=0.5, exact=exact)) == 0
