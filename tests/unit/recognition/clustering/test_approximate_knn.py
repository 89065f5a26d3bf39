"""Approximate neighbors in cells, against the exact graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from populations import assert_same_edges, edge_set, plain_neighbors, shuffled_people

from faceprint.recognition.clustering import approximate_knn, int8_neighbors
from faceprint.recognition.clustering.knn_graph import neighbor_graph
from faceprint.recognition.clustering.tasks import in_threads
from faceprint.runtime.int8_matmul import int8_matmul


@pytest.mark.parametrize("dim", [24, 128])
def test_cells_find_nearly_all_and_invent_nothing(dim):
    rows = shuffled_people(1500, 4, noise=0.7, dim=dim)
    whole = edge_set(neighbor_graph(rows, k=32, floor=0.5, exact=True))
    found = edge_set(neighbor_graph(rows, k=32, floor=0.5, exact=False))
    assert len(whole) > 5_000
    assert len(whole & found) / len(whole) > 0.995
    # A face whose nearest were missed may have another among its k.
    assert len(found - whole) <= 0.001 * len(whole)


def test_cells_are_the_same_in_turn_on_threads_and_from_a_file(tmp_path: Path):
    rows = shuffled_people(1200, 4)
    whole = neighbor_graph(rows, k=16, floor=0.5, exact=False, threads=1)
    assert_same_edges(neighbor_graph(rows, k=16, floor=0.5, exact=False, threads=3), whole)
    shuffled = in_threads(2)
    assert_same_edges(neighbor_graph(rows, k=16, floor=0.5, exact=False, run=shuffled), whole)
    mapped = np.memmap(tmp_path / "rows.f32", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    assert_same_edges(neighbor_graph(mapped, k=16, floor=0.5, exact=False), whole)
    exact = neighbor_graph(rows, k=16, floor=0.5, exact=True)
    assert_same_edges(neighbor_graph(mapped, k=16, floor=0.5, exact=True), exact)
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
    neighbor_graph(rows, k=8, floor=0.6, exact=False, threads=1)
    return total


@pytest.mark.parametrize("kind", ["people", "equal"])
def test_the_work_grows_in_proportion(kind, monkeypatch):
    def rows(n: int):
        return (
            shuffled_people(n // 5, 5) if kind == "people" else np.full((n, 16), 0.25, np.float32)
        )

    small, large = (compared(rows(n), monkeypatch) for n in (10_000, 40_000))
    assert large < 4.6 * small
    assert large < 0.7 * 40_000**2 / 2


def test_equal_faces_all_have_neighbors():
    rows = np.tile(shuffled_people(1, 1), (4_000, 1))
    edges = neighbor_graph(rows, k=8, floor=0.9, exact=False)
    degree = np.bincount(np.concatenate([edges.a, edges.b]), minlength=len(rows))
    assert degree.min() >= 8
    assert len(edges) <= 8 * len(rows)


@pytest.mark.slow
def test_cells_find_the_neighbors_of_real_faces(shared_faces: Path, monkeypatch):
    import faceprint

    photographs = sorted((shared_faces / "lfw").glob("A*/*.jpg"))[:400]
    fp = faceprint.load("starter")
    faces = [face for result in fp.analyze_many(photographs) for face in result.faces]
    rows = np.stack([face.embedding.vector for face in faces if face.embedding is not None])
    monkeypatch.setattr(approximate_knn, "_LEAF", 40)  # as many cells as a large album has
    whole = edge_set(neighbor_graph(rows, k=32, floor=0.93, exact=True))
    assert whole == plain_neighbors(rows, 32, 0.93)
    found = edge_set(neighbor_graph(rows, k=32, floor=0.93, exact=False))
    assert len(whole) > 300
    assert len(whole & found) / len(whole) > 0.995
