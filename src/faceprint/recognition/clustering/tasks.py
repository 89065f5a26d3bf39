"""Independent tasks and who does them: threads here, or whatever a caller brings along."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

__all__ = ["Run", "Task", "in_threads"]

Task = tuple[Any, tuple[Any, ...]]
"""A key that comes back with the result, and the arguments."""


class Run(Protocol):
    """Calls a function of a module with the arguments of each task.

    Tasks are drawn as they can be worked on, so that only a few are held at a time.
    """

    def __call__(
        self, function: Callable[..., Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Any, Any]]:
        """(key, result) of each task, in their order."""
        ...


def in_threads(count: int) -> Run:
    """Tasks on that many threads of this process."""

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
