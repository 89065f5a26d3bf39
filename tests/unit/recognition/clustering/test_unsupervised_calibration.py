"""Score distributions estimated from an album, against the known people."""

from __future__ import annotations

import numpy as np
import pytest
from populations import labeled_people

from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.clustering.partition import cluster_embeddings
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions


def test_an_album_tells_its_own_similarities():
    rows, truth = labeled_people(300, 4, noise=0.5, dim=64)
    names = [str(i) for i in range(len(rows))]
    known = unsupervised_distributions(rows, names)
    assert known is not None
    same = (truth[:, None] == truth)[pair := np.triu_indices(len(rows), 1)]
    scores = (rows @ rows.T)[pair]
    assert known.threshold_at(1e-3) == pytest.approx(np.quantile(scores[~same], 1 - 1e-3), abs=0.01)
    mean = known.non_mated_mean + known.non_mated_std * known.mated_mean
    assert mean == pytest.approx(np.median(scores[same]), abs=0.02)
    labels = cluster_embeddings(rows, threshold=known)
    assert cluster_scores(truth, labels).bcubed.f > 0.99
    assert unsupervised_distributions(rows[:30], names[:30]) is None


def test_an_album_of_people_photographed_once_tells_what_strangers_have():
    rows, _ = labeled_people(400, 1, dim=64)
    known = unsupervised_distributions(rows, [str(i) for i in range(len(rows))])
    assert known is not None
    labels = cluster_embeddings(rows, threshold=known)
    assert len(set(labels.tolist())) > 0.95 * 400


@pytest.mark.parametrize("photographs", [(3,) * 20, (2,) * 19 + (30,), (2, 9) * 15])
@pytest.mark.parametrize("skewed", [False, True])
def test_thirty_people_tell_their_own_similarities(photographs, skewed):
    # Mated pairs are up to a fifth of all: counted as non-mated, they hid every person.
    rng = np.random.default_rng(7)
    truth = np.repeat(np.arange(len(photographs)), photographs)
    centers = rng.standard_normal((len(photographs), 128))
    noise = rng.standard_normal((len(truth), 128)) * rng.uniform(0.6, 1.1, (len(truth), 1))
    rows = centers[truth] + noise
    if skewed:  # a common part, as dlib's network has: two people's similarities skew downwards
        rows[:, 0] += 30 * rng.uniform(0.95, 1.05, len(truth))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    known = unsupervised_distributions(rows, [str(i) for i in range(len(rows))])
    assert known is not None
    labels = cluster_embeddings(rows, threshold=known)
    assert cluster_scores(truth, labels).bcubed.f > 0.95


def test_a_small_album_without_mated_pairs_says_nothing():
    rows, _ = labeled_people(60, 1, dim=64)
    assert unsupervised_distributions(rows, [str(i) for i in range(len(rows))]) is None
