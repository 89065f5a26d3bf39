"""The ordered map over a stream: order, bounds, laziness, errors and cancelling."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.vision.streaming.ordered_map import chunk_size, chunks, ordered_map


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 4))
def test_every_item_once_and_in_order(count: int, size: int, workers: int) -> None:
    def work(chunk: list[int]) -> list[int]:
        assert 1 <= len(chunk) <= size
        return [-item for item in chunk]

    found = list(ordered_map(work, chunks(iter(range(count)), size, workers), workers=workers))
    assert found == [-item for item in range(count)]


def test_reads_no_further_than_it_must() -> None:
    read = []

    def endless() -> Iterator[int]:
        for item in range(1_000_000):
            read.append(item)
            yield item

    results = ordered_map(lambda chunk: chunk, chunks(endless(), 4, 2), workers=2)
    assert read == [], "nothing is read before the first result is wanted"
    assert next(results) == 0
    assert len(read) <= 4 * 5
    results.close()
    assert len(read) <= 4 * 5


def test_workers_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=600)

    def work(chunk: list[int]) -> list[int]:
        both.wait()
        return chunk

    assert list(ordered_map(work, chunks(range(4), 1, 2), workers=2)) == [0, 1, 2, 3]


def test_an_error_comes_in_its_place() -> None:
    def work(chunk: list[int]) -> list[int]:
        if 5 in chunk:
            raise ValueError("five")
        return chunk

    results = ordered_map(work, chunks(iter(range(9)), 2, 3), workers=3)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_closing_starts_nothing_more() -> None:
    started: list[int] = []
    others = set(threading.enumerate())

    def work(chunk: list[int]) -> list[int]:
        started.extend(chunk)
        return chunk

    results = ordered_map(work, chunks(range(100), 1, 1), workers=1)
    next(results)
    results.close()
    assert not set(threading.enumerate()) - others, "nobody is left who could start anything"
    assert len(started) <= 3


def test_what_is_done_late_comes_in_its_place() -> None:
    second = threading.Event()

    def work(chunk: list[int]) -> list[int]:
        if chunk[0] == 0:
            assert second.wait(600)
        elif chunk[0] == 1:
            second.set()
        return chunk

    assert list(ordered_map(work, chunks(range(9), 1, 2), workers=2)) == list(range(9))


@pytest.mark.parametrize(
    ("batch", "workers", "size"), [(32, 2, 16), (32, 16, 8), (4, 2, 4), (1, 8, 1), (64, 1, 64)]
)
def test_a_batch_is_shared_among_the_workers(batch: int, workers: int, size: int) -> None:
    assert chunk_size(batch, workers) == size


@given(st.integers(0, 400), st.integers(1, 20), st.integers(1, 8))
def test_a_stream_of_known_length_ends_in_small_chunks(
    length: int, size: int, workers: int
) -> None:
    cut = list(chunks(range(length), size, workers))
    assert [item for chunk in cut for item in chunk] == list(range(length))
    lengths = [len(chunk) for chunk in cut]
    assert lengths == sorted(lengths, reverse=True)
    assert max(lengths, default=0) <= size
    # Whoever takes the last one, keeps the others waiting for one item alone.
    assert lengths[-1:] in ([], [1])
    # Each takes at most half of an even share of what is left, so all stay busy to the end.
    left = length
    for taken in lengths:
        assert taken <= -(-left // (2 * workers))
        left -= taken


def test_chunks_of_unknown_length_are_whole() -> None:
    assert [len(chunk) for chunk in chunks(iter(range(20)), 8, 2)] == [8, 8, 4]


def test_one_slow_chunk_holds_nobody_up() -> None:
    release = threading.Event()
    others = threading.Semaphore(0)

    def work(chunk: list[int]) -> list[int]:
        if chunk[0] == 0:
            assert release.wait(600)
        else:
            others.release()
        return chunk

    results = ordered_map(work, chunks(iter(range(100)), 1, 2), workers=2)
    reader = threading.Thread(target=lambda: next(results))
    reader.start()
    for _ in range(4):
        assert others.acquire(timeout=600), "the other worker goes on meanwhile"
    release.set()
    reader.join(600)
    results.close()
