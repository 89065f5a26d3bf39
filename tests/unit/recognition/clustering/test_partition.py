"""Clustering embeddings of people whose number is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from populations import labeled_people, same_partition

from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.clustering.partition import cluster_embeddings, partition
from faceprint.recognition.thresholds.merge_threshold import (
    score_distributions,
)
from faceprint.types import OperatingPoint


def test_well_separated_people_are_found_by_both_graphs():
    pytest.importorskip("usearch")
    rows, truth = labeled_people(40, 8, dim=64)
    for exact in (True, False):
        assert same_partition(cluster_embeddings(rows, threshold=0.45, exact=exact), truth)


def test_labels_are_by_size_and_strangers_are_alone():
    rows, _ = labeled_people(3, 4, noise=0.1)
    labels = cluster_embeddings(rows[[0, 4, 5, 6, 8, 9]], threshold=0.6)
    assert labels.tolist() == [2, 0, 0, 0, 1, 1]
    assert len(cluster_embeddings(np.empty((0, 8)), threshold=0.5)) == 0


def test_people_that_resemble_each_other_are_kept_apart():
    rng = np.random.default_rng(3)
    rows, truth = labeled_people(150, 4, noise=0.55, dim=64)
    alike = rng.standard_normal(64).astype(np.float32) * 0.12
    rows[:120] += alike
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    products, pair = rows @ rows.T, np.triu_indices(len(rows), 1)
    same = (truth[:, None] == truth)[pair]
    scores = products[pair]
    thresholds = np.quantile(scores[~same], [1 - f for f in (1e-2, 1e-3, 1e-4)])
    points = [
        OperatingPoint(float(t), fmr=f, fnmr=float((scores[same] < t).mean()))
        for t, f in zip(thresholds, (1e-2, 1e-3, 1e-4), strict=True)
    ]
    known = score_distributions(points)
    assert known is not None
    threshold = known.merge_threshold(len(rows))
    with_it, without = (
        cluster_scores(truth, partition(rows, kind)).bcubed
        for kind in (threshold, replace(threshold, normalize=False))
    )
    assert with_it.f > without.f
    assert with_it.precision > without.precision
