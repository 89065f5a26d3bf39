"""Giving memory back: where there is no glibc, nothing happens."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator

import pytest

from faceprint import _memory as memory


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    memory._c_function.cache_clear()
    yield
    memory._c_function.cache_clear()


def test_free_pages_are_given_back() -> None:
    memory.give_back_memory()
    assert (memory._c_function("malloc_trim") is not None) == (platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_without_a_c_library_of_that_kind_nothing_happens(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    memory.one_arena()
    memory.give_back_memory()
    assert memory._c_function("malloc_trim") is None


def test_an_allocator_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.one_arena()
    memory.give_back_memory()
    assert memory._c_function("malloc_trim") is None


def test_threads_share_arenas(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Process:
        @staticmethod
        def mallopt(option: int, value: int) -> int:
            asked.append((option, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Process)
    memory.one_arena()
    assert asked == [(-8, 1)]  # M_ARENA_MAX of malloc.h
