"""The indexes against brute force in float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.index import bit_planes
from faceprint.recognition.index.binary_lsh import BinaryLshIndex, LshSettings
from faceprint.recognition.index.exact import ExactIndex
from faceprint.recognition.index.usearch import scale_of, to_int8

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


@pytest.fixture
def index(world: World) -> ExactIndex:
    made = ExactIndex(DIM)
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
    # One-hot, so that every order of the sum gives the same product.
    world.vectors[[8000, 2, 5000, 17]] = np.eye(DIM, dtype=np.float32)[0]
    index = ExactIndex(DIM)
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


def test_a_template_that_left_the_store_in_the_meantime_is_skipped(world: World) -> None:
    index = BinaryLshIndex(DIM, world.fetch)
    index.add(world.keys, world.vectors)
    world.gone = {int(world.keys[10])}
    found = index.search(world.vectors[10:11], 3).keys[0]
    assert int(world.keys[10]) not in found


def test_codes_come_close() -> None:
    rows = unit(500, 3)
    assert np.abs(to_int8(rows) / scale_of(DIM) - rows).max() <= 0.5 / scale_of(DIM) + 1e-6


def test_keys_must_ascend() -> None:
    index = ExactIndex(DIM)
    index.add(np.asarray([5]), unit(1, 0))
    with pytest.raises(ValueError, match="ascend"):
        index.add(np.asarray([5]), unit(1, 1))
    assert index.search(np.empty((0, DIM), np.float32), 3).keys.shape == (0, 1)


def _nearly_all(index: Any, world: World) -> None:
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


def test_usearch_finds_nearly_all_and_measures_exactly(world: World) -> None:
    pytest.importorskip("usearch", reason="faceprint[ann] is not installed")
    from faceprint.recognition.index.usearch import UsearchIndex

    _nearly_all(UsearchIndex(DIM, world.fetch), world)


def test_every_vector_of_a_graph_can_be_reached() -> None:
    """Built on two threads, graphs of three photographs a person had some that no search found."""
    pytest.importorskip("usearch", reason="faceprint[ann] is not installed")
    from faceprint.recognition.index.usearch import UsearchIndex

    keys = np.arange(3000, dtype=np.int64)
    for seed in range(4):
        vectors = np.repeat(unit(1000, seed), 3, axis=0) + 0.3 * unit(3000, 10 + seed)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = UsearchIndex(DIM, lambda wanted, stored=vectors: (wanted, stored[wanted]))
        index.add(keys, vectors)
        assert (index.search(vectors, 1).keys[:, 0] == keys).all()


def test_signs_find_nearly_all_and_measure_exactly(world: World) -> None:
    _nearly_all(BinaryLshIndex(DIM, world.fetch), world)


@pytest.mark.parametrize("dim", [128, 512])
@pytest.mark.parametrize("cone", [0.0, 2.0])
def test_signs_find_the_mates_of_a_large_gallery(dim: int, cone: float) -> None:
    # As embeddings are: two of one person at about 0.6 where all directions occur; with a cone,
    # all of them share a direction, as those of dlib's network do.
    rng = np.random.default_rng(4)
    axis = np.eye(dim, dtype=np.float32)[0] * cone
    people = rng.standard_normal((40_000, dim), dtype=np.float32) / np.float32(np.sqrt(dim))
    noise = rng.standard_normal((300, dim), dtype=np.float32) * np.float32(0.75 / np.sqrt(dim))

    def whole(rows: Any) -> Any:
        rows = rows + axis
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    gallery, probes = whole(people), whole(people[:300] + noise)
    keys = np.arange(1, len(gallery) + 1)
    index = BinaryLshIndex(dim, lambda wanted: (wanted, gallery[wanted - 1]))
    index.center(gallery[:4000], len(gallery))
    index.add(keys, gallery)
    truth = keys[(probes @ gallery.T).argmax(1)]
    assert (index.search(probes, 1).keys[:, 0] == truth).mean() >= 0.99
    assert index.nbytes == len(gallery) * 136


@pytest.mark.parametrize("count", [1, 7])
def test_signs_find_the_same_in_blocks(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, keys = unit(9_001, 3), np.arange(1, 9_002)
    probes = gallery[7::1001][:count] + 0.1 * unit(count, 4)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    found = []
    for rows in (1 << 20, 1 << 10):
        monkeypatch.setattr(bit_planes, "_ROWS", rows)
        index = BinaryLshIndex(
            DIM, lambda wanted: (wanted, gallery[wanted - 1]), LshSettings(least=64)
        )
        index.add(keys, gallery)
        found.append(index.search(probes, 1))
    assert found[0].keys.tolist() == found[1].keys.tolist()
    assert found[0].similarities.tolist() == found[1].similarities.tolist()


def test_signs_fetch_what_may_be_nearest_and_no_more() -> None:
    gallery, keys, asked = unit(5_000, 3), np.arange(1, 5_001), []

    def fetch(wanted: Any) -> Any:
        asked.append(len(wanted))
        return wanted, gallery[wanted - 1]

    index = BinaryLshIndex(DIM, fetch)
    index.add(keys, gallery)
    assert index.search(gallery[77:78], 1).keys.tolist() == [[78]]
    assert index.search(unit(1, 8), 1).keys.shape == (1, 1)
    assert index.search(gallery[77:79], 40).keys[:, 0].tolist() == [78, 79]
    assert asked[0] < 5
    assert asked[1] == LshSettings().rerank
    assert 40 <= asked[2] <= 80


def test_signs_forget_what_was_removed(world: World) -> None:
    index = BinaryLshIndex(DIM, world.fetch)
    index.add(world.keys, world.vectors)
    index.remove(world.keys[10:N])
    assert len(index) == 10
    assert not index._words[10:].any()
    assert int(np.bitwise_count(index._planes.words >> np.uint64(10)).sum()) == 0
    assert world.keys[10] not in index.search(world.vectors[10:11], 50).keys
    index.add(world.keys[20:21], world.vectors[20:21])
    assert index.search(world.vectors[20:21], 1).keys.tolist() == [[world.keys[20]]]
    assert index.vectors(world.keys[[20, 3]]) == pytest.approx(world.vectors[[20, 3]])
    with pytest.raises(ValueError, match="ascend"):
        index.add(world.keys[20:21], world.vectors[20:21])
    with pytest.raises(ValueError, match="centered again"):
        index.center(world.vectors, N)


def test_signs_know_when_their_middle_is_that_of_too_few(world: World) -> None:
    index = BinaryLshIndex(DIM, world.fetch, LshSettings(least=64))
    index.add(world.keys[:100], world.vectors[:100])
    assert not index.outgrown
    index.add(world.keys[100:], world.vectors[100:])
    assert index.outgrown
    centerd = BinaryLshIndex(DIM, world.fetch, LshSettings(least=64))
    centerd.center(world.vectors[:50], N)
    centerd.add(world.keys, world.vectors)
    assert not centerd.outgrown


def test_signs_are_read_as_they_were_written(world: World, tmp_path: Path) -> None:
    index, again = BinaryLshIndex(DIM, world.fetch), BinaryLshIndex(DIM, world.fetch)
    index.add(world.keys, world.vectors)
    index.save(tmp_path / "index")
    again.load(tmp_path / "index")
    probes = unit(30, 12)
    assert again.search(probes, 5).keys.tolist() == index.search(probes, 5).keys.tolist()
    assert len(again) == N

    other = BinaryLshIndex(DIM + 1, world.fetch)
    for damage in (other.load, BinaryLshIndex(DIM, world.fetch, LshSettings(bits=256)).load):
        with pytest.raises(GalleryCorruptError):
            damage(tmp_path / "index")
    (tmp_path / "index").write_bytes(b"not an archive")
    with pytest.raises(GalleryCorruptError):
        again.load(tmp_path / "index")
    np.savez((tmp_path / "objects").open("wb"), words=np.asarray([{}], object))
    with pytest.raises(GalleryCorruptError):
        again.load(tmp_path / "objects")


def test_usearch_and_onnx_runtime_live_in_one_process() -> None:
    """ONNX Runtime, imported after usearch, ended the process: the gallery came first there."""
    pytest.importorskip("usearch", reason="the extra ann is not installed")
    program = (
        "from faceprint.recognition.index.usearch import UsearchIndex\n"
        "UsearchIndex(4, lambda keys: None)\n"
        "import faceprint._onnxruntime\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
