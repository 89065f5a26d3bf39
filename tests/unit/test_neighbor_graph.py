"""The neighbor graph against plain products, in blocks, in cells and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint._mapped import new_rows
from faceprint.recognition.clustering import approximate_knn, int8_neighbors
from faceprint.recognition.clustering.int8_neighbors import encode, nearest_pairs, scale_for
from faceprint.recognition.clustering.knn_graph import Edges, neighbor_graph
from faceprint.recognition.clustering.mapped_rows import group_sums, take_rows
from faceprint.recognition.clustering.tasks import in_threads
from faceprint.runtime.int8_matmul import TOP, int8_matmul


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


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 300), st.booleans())
@settings(max_examples=40, deadline=None)
def test_whole_number_products_are_exact(m, n, d, extreme):
    rng = np.random.default_rng(m * n * d)
    values = [-TOP, TOP] if extreme else range(-TOP, TOP + 1)
    a, b = (rng.choice(values, (rows, d)).astype(np.int8) for rows in (m, n))
    expected = a.astype(np.int64) @ b.T.astype(np.int64)
    np.testing.assert_array_equal(int8_matmul(a, b), expected)


@pytest.mark.parametrize("dim", [3, 64, 512])
def test_codes_are_off_by_less_than_the_slack(dim):
    rows = people(200, 5, dim=dim)
    scale = scale_for(rows)
    products = int8_matmul(encode(rows, scale), encode(rows, scale))
    slack = int8_neighbors.Floor(scale, 0.0, 1).slack
    off = np.abs(products - scale**2 * (rows.astype(np.float64) @ rows.T))
    assert 6 * off.std() < 1.2 * slack
    assert off.max() < slack


@pytest.mark.parametrize(("k", "least"), [(1, 0.3), (4, 0.3), (32, 0.5), (399, -1.0)])
@pytest.mark.parametrize("seed", range(3))
def test_the_exact_graph_is_that_of_plain_products(k, least, seed, monkeypatch):
    rows = people(50, 8, noise=0.8, seed=seed)
    expected = plainly(rows, k, least)
    whole = neighbor_graph(rows, k=k, least=least, exact=True)
    assert as_set(whole) == expected
    np.testing.assert_allclose(
        whole.similarity, np.einsum("ed,ed->e", rows[whole.a], rows[whole.b]), atol=1e-6
    )
    order = whole.a * len(rows) + whole.b
    assert (np.diff(order) > 0).all()
    assert (whole.a < whole.b).all()
    monkeypatch.setattr("faceprint.recognition.clustering.knn_graph._BLOCK", 64)
    assert_same(neighbor_graph(rows, k=k, least=least, exact=True), whole)
    monkeypatch.setattr("faceprint.recognition.clustering.knn_graph._HELD", 100)
    assert_same(neighbor_graph(rows, k=k, least=least, exact=True), whole)


def test_a_crowd_keeps_the_nearest_and_no_more():
    rows = people(1, 1500, noise=0.5)
    edges = neighbor_graph(rows, k=8, least=0.1, exact=True)
    assert as_set(edges) == plainly(rows, 8, 0.1)


@pytest.mark.parametrize("dim", [24, 128])
def test_cells_find_nearly_all_and_invent_nothing(dim):
    rows = people(1500, 4, noise=0.7, dim=dim)
    whole = as_set(neighbor_graph(rows, k=32, least=0.5, exact=True))
    found = as_set(neighbor_graph(rows, k=32, least=0.5, exact=False))
    assert len(whole) > 5_000
    assert len(whole & found) / len(whole) > 0.995
    # A face whose nearest were missed may have another among its k.
    assert len(found - whole) <= 0.001 * len(whole)


def test_cells_are_the_same_in_turn_on_threads_and_from_a_file(tmp_path: Path):
    rows = people(1200, 4)
    whole = neighbor_graph(rows, k=16, least=0.5, exact=False, threads=1)
    assert_same(neighbor_graph(rows, k=16, least=0.5, exact=False, threads=3), whole)
    shuffled = in_threads(2)
    assert_same(neighbor_graph(rows, k=16, least=0.5, exact=False, run=shuffled), whole)
    mapped = np.memmap(tmp_path / "rows.f32", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    assert_same(neighbor_graph(mapped, k=16, least=0.5, exact=False), whole)
    exact = neighbor_graph(rows, k=16, least=0.5, exact=True)
    assert_same(neighbor_graph(mapped, k=16, least=0.5, exact=True), exact)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.f32"], "cells are cleared away"


def compared(rows, monkeypatch) -> int:
    """How many pairs are multiplied."""
    total = 0

    def counted(a, b):
        nonlocal total
        total += len(a) * len(b)
        return int8_matmul(a, b)

    monkeypatch.setattr(approximate_knn, "int8_matmul", counted)
    monkeypatch.setattr(int8_neighbors, "int8_matmul", counted)
    neighbor_graph(rows, k=8, least=0.6, exact=False, threads=1)
    return total


@pytest.mark.parametrize("kind", ["people", "equal"])
def test_the_work_grows_in_proportion(kind, monkeypatch):
    def rows(n: int):
        return people(n // 5, 5) if kind == "people" else np.full((n, 16), 0.25, np.float32)

    small, large = (compared(rows(n), monkeypatch) for n in (10_000, 40_000))
    assert large < 4.6 * small
    assert large < 0.7 * 40_000**2 / 2


def test_equal_faces_all_have_neighbors():
    rows = np.tile(people(1, 1), (4_000, 1))
    edges = neighbor_graph(rows, k=8, least=0.9, exact=False)
    degree = np.bincount(np.concatenate([edges.a, edges.b]), minlength=len(rows))
    assert degree.min() >= 8
    assert len(edges) <= 8 * len(rows)


@given(st.integers(1, 6), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_the_nearest_pairs_are_those_of_either_face(k, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    a, b = np.triu_indices(n, 1)
    some = rng.permutation(len(a))[: rng.integers(1, len(a) + 1)]
    a, b = a[some], b[some]
    similarity = rng.permutation(len(a)).astype(np.float32) / len(a)
    kept = set(nearest_pairs(a, b, k, lambda places: similarity[places]).tolist())
    expected = set()
    for face in range(n):
        own = np.flatnonzero((a == face) | (b == face))
        expected |= set(own[np.argsort(-similarity[own])][:k].tolist())
    assert kept == expected


def test_no_faces_one_face_and_no_neighbors():
    for rows in (np.empty((0, 8), np.float32), people(1, 1), np.eye(300, dtype=np.float32)):
        for exact in (True, False):
            assert len(neighbor_graph(rows, k=4, least=0.5, exact=exact)) == 0


def test_mapped_rows_are_as_rows_in_memory(tmp_path: Path):
    rows = people(40, 5)
    mapped = new_rows(rows.shape, tmp_path)
    mapped[:] = rows
    chosen = np.array([3, 5, 4, 199])
    np.testing.assert_array_equal(take_rows(mapped, chosen), rows[chosen])
    assert isinstance(take_rows(mapped, chosen), np.memmap)
    assert take_rows(mapped, np.arange(200)) is mapped
    weights = np.linspace(0.5, 1, 200, dtype=np.float32)
    for groups in (np.arange(200)[::-1].copy(), np.arange(200) // 7):
        count = int(groups.max()) + 1
        expected = np.stack(
            [(rows * weights[:, None])[groups == g].sum(axis=0) for g in range(count)]
        )
        for one in (rows, mapped):
            found = group_sums(one, groups, count, weights)
            np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_cells_find_the_neighbors_of_real_faces(shared_faces: Path, monkeypatch):
    import faceprint

    photographs = sorted((shared_faces / "lfw").glob("A*/*.jpg"))[:400]
    fp = faceprint.load("starter")
    faces = [face for result in fp.analyze_many(photographs) for face in result.faces]
    rows = np.stack([face.embedding.vector for face in faces if face.embedding is not None])
    monkeypatch.setattr(approximate_knn, "_LEAF", 40)  # as many cells as a large album has
    whole = as_set(neighbor_graph(rows, k=32, least=0.93, exact=True))
    assert whole == plainly(rows, 32, 0.93)
    found = as_set(neighbor_graph(rows, k=32, least=0.93, exact=False))
    assert len(whole) > 300
    assert len(whole & found) / len(whole) > 0.995
