"""Independent tasks, and running them: on threads, or on whatever the caller passes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

__all__ = ["Run", "Task", "in_threads"]

Task = tuple[Any, tuple[Any, ...]]
"""A key that is returned with the result, and the arguments."""


class Run(Protocol):
    """Calls a module-level function with the arguments of each task.

    Tasks are drawn lazily, so that only a few are in memory at a time.
    """

    def __call__(
        self, function: Callable[..., Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Any, Any]]:
        """(key, result) of each task, in order."""
        ...


def in_threads(count: int) -> Run:
    """Run tasks on that many threads of this process."""

    def run(function: Callable[..., Any], tasks: Iterable[Task]) -> Iterator[tuple[Any, Any]]:
        waiting: deque[tuple[Any, Future[Any]]] = deque()
        with ThreadPoolExecutor(count, thread_name_prefix="faceprint-task") as pool:
            for key, arguments in tasks:
                waiting.append((key, pool.submit(function, *arguments)))
                if len(waiting) > count:
                    key, future = waiting.popleft()
                    yield key, future.result()
            while waiting:
                key, future = waiting.popleft()
                yield key, future.result()

    return run
