"""Made-up embeddings of people, and comparisons of their neighbors and groups."""

from __future__ import annotations

import numpy as np

from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs
from faceprint.recognition.clustering.knn_graph import Edges


def shuffled_people(count: int, each: int, noise: float = 0.6, dim: int = 64, seed: int = 0):
    """Unit rows around centers, in random order."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((count, dim)), each, axis=0)
    rows += noise * rng.standard_normal(rows.shape)
    rows = rng.permutation(rows)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def labeled_people(count: int, each: int, noise: float = 0.6, dim: int = 32, seed: int = 0):
    """Unit rows around centers, person by person, and the person of each."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((count, dim))
    rows = np.repeat(centers, each, axis=0) + noise * rng.standard_normal((count * each, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), np.repeat(np.arange(count), each)


def population(people: int, seed: int, each: int = 2, noise: float = 0.45) -> LabeledScores:
    """Faces on a sphere: people around a few kinds, so that some are alike and errors cluster."""
    rng, d = np.random.default_rng(seed), 24
    kinds = np.random.default_rng(99).normal(size=(12, d))  # the same for every group of people
    centers = 0.8 * kinds[rng.integers(0, 12, people)] + rng.normal(size=(people, d))
    rows = np.repeat(centers, each, axis=0) + noise * rng.normal(size=(people * each, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return all_pairs(rows, np.repeat(np.arange(people), each))


def same_partition(a, b) -> bool:
    """Whether two labelings group the same rows, whatever the labels."""
    a, b = np.asarray(a), np.asarray(b)
    return bool(((a[:, None] == a) == (b[:, None] == b)).all())


def plain_neighbors(rows, k: int, least: float) -> set[tuple[int, int]]:
    """Joined where one is among the k nearest of the other and they are as near as that."""
    products = rows.astype(np.float64) @ rows.T.astype(np.float64)
    np.fill_diagonal(products, -2)
    found = set()
    for i, row in enumerate(products):
        nearest = np.argsort(-row)[:k]
        found |= {(min(i, j), max(i, j)) for j in nearest[row[nearest] >= least].tolist()}
    return found


def edge_set(edges: Edges) -> set[tuple[int, int]]:
    return set(zip(edges.a.tolist(), edges.b.tolist(), strict=True))


def assert_same_edges(one: Edges, other: Edges) -> None:
    np.testing.assert_array_equal(one.a, other.a)
    np.testing.assert_array_equal(one.b, other.b)
    np.testing.assert_array_equal(one.similarity, other.similarity)
