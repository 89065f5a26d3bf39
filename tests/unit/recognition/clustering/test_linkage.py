"""Average linkage, compared with SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from populations import labeled_people, same_partition

from faceprint.recognition.clustering.knn_graph import neighbor_graph
from faceprint.recognition.clustering.linkage import average_linkage
from faceprint.recognition.thresholds.merge_threshold import (
    MergeThreshold,
)


@pytest.mark.parametrize("threshold", [0.2, 0.35, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_the_linkage_is_scipys_average_linkage(threshold, seed):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    rows, _ = labeled_people(12, 6, noise=0.9, seed=seed)
    tree = hierarchy.linkage(rows.astype(np.float64), "average", metric="cosine")
    expected = hierarchy.fcluster(tree, 1 - threshold, "distance")
    edges = neighbor_graph(rows, k=len(rows) - 1, floor=-1.0)
    assert same_partition(
        average_linkage(rows, edges, MergeThreshold.constant(threshold), slack=0.0), expected
    )
