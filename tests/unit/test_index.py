"""The indexes against brute force in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faceprint.recognition.index.exact import ExactIndex, ExactInt8Index
from faceprint.recognition.index.int8 import scale_of, to_int8

N, DIM = 9000, 24


def unit(rows: int, seed: int) -> Any:
    drawn = np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


class World:
    """Vectors under keys 1, 4, 7 ..., in a store that answers backwards and forgets on request."""

    def __init__(self) -> None:
        self.vectors = unit(N, 0)
        self.keys = np.arange(N, dtype=np.int64) * 3 + 1
        self.gone: set[int] = set()

    def fetch(self, keys: Any) -> tuple[Any, Any]:
        there = np.asarray([k for k in keys[::-1] if int(k) not in self.gone], np.int64)
        return there, self.vectors[(there - 1) // 3]

    def nearest(self, probes: Any, k: int) -> tuple[Any, Any]:
        scores = probes.astype(float) @ self.vectors.astype(float).T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return self.keys[order], np.take_along_axis(scores, order, 1)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=["f32", "i8"])
def index(request: pytest.FixtureRequest, world: World) -> ExactIndex:
    made = ExactIndex(DIM) if request.param == "f32" else ExactInt8Index(DIM, world.fetch)
    for start in range(0, N, 3500):
        made.add(world.keys[start : start + 3500], world.vectors[start : start + 3500])
    return made


@pytest.mark.parametrize("k", [1, 7, 300])
@pytest.mark.parametrize("probes", [1, 33])
def test_nothing_is_missed(index: ExactIndex, world: World, probes: int, k: int) -> None:
    # More rows than the first block, so that later blocks meet a threshold.
    asked = unit(probes, 1)
    hits = index.search(asked, k)
    keys, scores = world.nearest(asked, k)
    assert hits.keys.tolist() == keys.tolist()
    assert hits.similarities == pytest.approx(scores, abs=1e-6)


def test_equal_vectors_tie_towards_the_smaller_key(world: World) -> None:
    world.vectors[[8000, 2, 5000, 17]] = world.vectors[2]
    index = ExactInt8Index(DIM, world.fetch)
    index.add(world.keys, world.vectors)
    hits = index.search(world.vectors[2:3], 4)
    assert hits.keys.tolist() == [world.keys[[2, 17, 5000, 8000]].tolist()]


def test_what_was_removed_is_gone_from_answers_and_memory(index: ExactIndex, world: World) -> None:
    probe = world.vectors[10:11]
    assert index.search(probe, 1).keys[0, 0] == world.keys[10]
    index.remove(world.keys[10:N])
    assert len(index) == 10
    assert world.keys[10] not in index.search(probe, 50).keys
    assert not index._matrix[10:].any()
    index.add(world.keys[20:21], world.vectors[20:21])
    assert index.vectors(world.keys[[20, 3]]) == pytest.approx(world.vectors[[20, 3]])


def test_a_template_that_left_the_store_meanwhile_is_passed_over(world: World) -> None:
    index = ExactInt8Index(DIM, world.fetch)
    index.add(world.keys, world.vectors)
    world.gone = {int(world.keys[10])}
    found = index.search(world.vectors[10:11], 3).keys[0]
    assert int(world.keys[10]) not in found


def test_a_vector_that_int8_cuts_is_still_found_exactly(world: World) -> None:
    # All of its length in one component lies far beyond the range of the codes.
    world.vectors[77] = np.eye(DIM, dtype=np.float32)[0]
    index = ExactInt8Index(DIM, world.fetch)
    index.add(world.keys, world.vectors)
    hits = index.search(unit(20, 5), 5)
    assert hits.keys.tolist() == world.nearest(unit(20, 5), 5)[0].tolist()


def test_codes_come_close() -> None:
    rows = unit(500, 3)
    assert np.abs(to_int8(rows) / scale_of(DIM) - rows).max() <= 0.5 / scale_of(DIM) + 1e-6


def test_keys_must_grow() -> None:
    index = ExactIndex(DIM)
    index.add(np.asarray([5]), unit(1, 0))
    with pytest.raises(ValueError, match="grow"):
        index.add(np.asarray([5]), unit(1, 1))
    assert index.search(np.empty((0, DIM), np.float32), 3).keys.shape == (0, 1)


def test_usearch_finds_nearly_all_and_measures_exactly(world: World) -> None:
    pytest.importorskip("usearch", reason="faceprint[ann] is not installed")
    from faceprint.recognition.index.usearch import UsearchIndex

    index = UsearchIndex(DIM, world.fetch)
    index.add(world.keys, world.vectors)
    asked = world.vectors[:400] + 0.1 * unit(400, 9)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    keys, scores = world.nearest(asked, 1)
    batch = index.search(asked, 1)
    right = batch.keys[:, 0] == keys[:, 0]
    assert right.mean() >= 0.99
    assert batch.similarities[right] == pytest.approx(scores[right], abs=1e-6)
    alone = np.stack([index.search(probe[None], 1).keys[0] for probe in asked])
    assert (alone == keys).mean() >= 0.99
