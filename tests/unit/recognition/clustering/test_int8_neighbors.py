"""Pairs found with int8 codes, against exact products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import shuffled_people

from faceprint.recognition.clustering import int8_neighbors
from faceprint.recognition.clustering.int8_neighbors import encode, nearest_pairs, scale_for
from faceprint.runtime.int8_matmul import int8_matmul


@pytest.mark.parametrize("dim", [3, 64, 512])
def test_codes_are_off_by_less_than_the_slack(dim):
    rows = shuffled_people(200, 5, dim=dim)
    scale = scale_for(rows)
    products = int8_matmul(encode(rows, scale), encode(rows, scale))
    slack = int8_neighbors.NeighborLimits(scale, 0.0, 1).slack
    off = np.abs(products - scale**2 * (rows.astype(np.float64) @ rows.T))
    assert 6 * off.std() < 1.2 * slack
    assert off.max() < slack


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
