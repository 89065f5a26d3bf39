"""The exact neighbor graph, against plain products."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.recognition.clustering.knn_graph import Edges, neighbor_graph


def people(count: int, each: int, noise: float = 0.6, dim: int = 64, seed: int = 0):
    """Unit rows around centers, in random order."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((count, dim)), each, axis=0)
    rows += noise * rng.standard_normal(rows.shape)
    rows = rng.permutation(rows)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def plainly(rows, k: int, least: float) -> set[tuple[int, int]]:
    """Joined where one is among the k nearest of the other and they are as near as that."""
    products = rows.astype(np.float64) @ rows.T.astype(np.float64)
    np.fill_diagonal(products, -2)
    found = set()
    for i, row in enumerate(products):
        nearest = np.argsort(-row)[:k]
        found |= {(min(i, j), max(i, j)) for j in nearest[row[nearest] >= least].tolist()}
    return found


def as_set(edges: Edges) -> set[tuple[int, int]]:
    return set(zip(edges.a.tolist(), edges.b.tolist(), strict=True))


def assert_same(one: Edges, other: Edges) -> None:
    np.testing.assert_array_equal(one.a, other.a)
    np.testing.assert_array_equal(one.b, other.b)
    np.testing.assert_array_equal(one.similarity, other.similarity)


@pytest.mark.parametrize(("k", "least"), [(1, 0.3), (4, 0.3), (32, 0.5), (399, -1.0)])
@pytest.mark.parametrize("seed", range(3))
def test_the_exact_graph_is_that_of_plain_products(k, least, seed, monkeypatch):
    rows = people(50, 8, noise=0.8, seed=seed)
    expected = plainly(rows, k, least)
    whole = neighbor_graph(rows, k=k, floor=least, exact=True)
    assert as_set(whole) == expected
    np.testing.assert_allclose(
        whole.similarity, np.einsum("ed,ed->e", rows[whole.a], rows[whole.b]), atol=1e-6
    )
    order = whole.a * len(rows) + whole.b
    assert (np.diff(order) > 0).all()
    assert (whole.a < whole.b).all()
    monkeypatch.setattr("faceprint.recognition.clustering.knn_graph._BLOCK", 64)
    assert_same(neighbor_graph(rows, k=k, floor=least, exact=True), whole)
    monkeypatch.setattr("faceprint.recognition.clustering.knn_graph._HELD", 100)
    assert_same(neighbor_graph(rows, k=k, floor=least, exact=True), whole)


def test_a_crowd_keeps_the_nearest_and_no_more():
    rows = people(1, 1500, noise=0.5)
    edges = neighbor_graph(rows, k=8, floor=0.1, exact=True)
    assert as_set(edges) == plainly(rows, 8, 0.1)


def test_no_faces_one_face_and_no_neighbors():
    for rows in (np.empty((0, 8), np.float32), people(1, 1), np.eye(300, dtype=np.float32)):
        for exact in (True, False):
            assert len(neighbor_graph(rows, k=4, floor=0.5, exact=exact)) == 0
