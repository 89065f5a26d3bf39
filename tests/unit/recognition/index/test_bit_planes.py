"""Counting by planes against counting bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceprint.recognition.index import bit_planes
from faceprint.recognition.index.bit_planes import BitPlanes

BITS = 128


def drawn(count: int, seed: int) -> np.ndarray:
    """(count, BITS) signs as 0 and 1."""
    return np.random.default_rng(seed).integers(0, 2, (count, BITS), dtype=np.uint8)


def words(signs: np.ndarray) -> np.ndarray:
    return np.packbits(signs, axis=1).view(np.uint64)


def laid_out(signs: np.ndarray, chosen: int, steps: list[int]) -> BitPlanes:
    held = BitPlanes(BITS, chosen)
    held.reserve(len(signs))
    ends = [*sorted({min(step, len(signs)) for step in steps}), len(signs)]
    start = 0
    for end in ends:
        held.write(words(signs[:end]), start)
        start = end
    return held


@given(
    count=st.integers(1, 700),
    chosen=st.integers(1, 40),
    share=st.floats(0.001, 1),
    steps=st.lists(st.integers(1, 700), max_size=4),
    seed=st.integers(0, 9),
)
def test_the_nearest_are_those_that_differ_least(count, chosen, share, steps, seed):
    signs = drawn(count, seed)
    products = np.random.default_rng(seed + 1).standard_normal(BITS).astype(np.float32)
    rows = laid_out(signs, chosen, steps).near(products, count, share)

    surest = np.argsort(-np.abs(products))[:chosen]
    differing = (signs[:, surest] != (products[surest] > 0)).sum(axis=1)
    assert rows.tolist() == np.flatnonzero(differing <= differing[rows].max()).tolist()
    assert len(rows) >= share * count / 2


def test_blocks_answer_for_themselves(monkeypatch):
    signs = drawn(1_000, 3)
    products = np.random.default_rng(5).standard_normal(BITS).astype(np.float32)
    whole = laid_out(signs, 9, []).near(products, 1_000, 0.05)
    monkeypatch.setattr(bit_planes, "_ROWS", 256)
    parts = laid_out(signs, 9, [300]).near(products, 1_000, 0.05)
    assert {row // 256 for row in parts.tolist()} == {0, 1, 2, 3}
    assert len(set(whole.tolist()) & set(parts.tolist())) > 20


def test_a_sample_that_holds_the_nearest_does_not_starve_the_rest(monkeypatch):
    # The sample reads the first of four words, all of whose vectors lie at the probe.
    monkeypatch.setattr(bit_planes, "_SAMPLE", 64)
    count = 4 * 64
    products = np.ones(BITS, np.float32)
    signs = np.zeros((count, BITS), np.uint8)
    signs[:64] = 1
    assert len(laid_out(signs, 24, []).near(products, count, 0.2)) == 64
    assert len(laid_out(signs, 24, []).near(products, count, 0.9)) == count


def test_what_is_cleared_is_gone():
    held = laid_out(np.ones((200, BITS), np.uint8), 8, [])
    held.write(words(np.ones((70, BITS), np.uint8)), 33)
    held.clear(70, 200)
    assert int(np.bitwise_count(held.words).sum()) == 70 * BITS


@pytest.mark.parametrize("chosen", [1, 2, 3, 24, 31, 32])
def test_counters_reach_every_number(chosen):
    signs = np.tril(np.ones((chosen + 1, BITS), np.uint8), -1)
    products = np.where(np.arange(BITS) < chosen, -2.0, -1.0).astype(np.float32)
    held = laid_out(signs, chosen, [])
    for wanted in range(1, chosen + 2):
        rows = held.near(products, chosen + 1, wanted / (chosen + 1) - 1e-9)
        assert len(rows) >= wanted / 2
        assert rows.tolist() == list(range(len(rows)))
