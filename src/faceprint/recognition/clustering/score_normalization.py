"""Adaptive score normalization (AS-norm): how similar a face is to strangers, beyond what is usual.

People who resemble many others, such as children, are kept apart by their similarity to strangers,
as in the score normalization of speaker recognition (Matejka et al. 2017).
"""

from __future__ import annotations

import numpy as np

from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.recognition.clustering.knn_graph import Edges
from faceprint.recognition.thresholds.merge_threshold import NEAREST_NON_MATED
from faceprint.types import Array

__all__ = ["as_norm"]


def as_norm(edges: Edges, labels: Ints, floor: float) -> Array:
    """(n,) how much more similar each face is to its nearest strangers than the median face is.

    The mean over the ten nearest faces with other labels, counted from `floor`, minus the median
    over all faces. Where a face has fewer such neighbors, `floor` stands in for the missing ones.
    """
    other = labels[edges.a] != labels[edges.b]
    ends = np.concatenate([edges.a[other], edges.b[other]])
    excess = np.tile(edges.similarity[other] - np.float32(floor), 2)
    order = np.lexsort((-excess, ends))
    ends, excess = ends[order], excess[order]
    starts = np.searchsorted(ends, np.arange(len(labels)))
    nearest = np.arange(len(ends)) - starts[ends] < NEAREST_NON_MATED
    sums = np.bincount(ends[nearest], excess[nearest], minlength=len(labels)) / NEAREST_NON_MATED
    return np.asarray(sums - np.median(sums) if len(sums) else sums, np.float32)
