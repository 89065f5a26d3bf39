"""What a peer's module hands to its process: how one photograph and how many are done."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

One = Callable[[str], Any]
Many = Callable[[Sequence[str]], list[Any]]


@dataclass(frozen=True)
class Side:
    """One side of a comparison, models loaded.

    Attributes:
        one: path of a photograph to the peer's own result; this is what is timed.
        ways: name -> paths to results; every way of doing many that is worth trying. The fastest
            on this machine is the one that is measured.
        plain: a result to faces, outside the timing: `box` as x1, y1, x2, y2, and where the peer
            has them `points` and `vector`.
        facts: how the peer is driven, for the JSON.
        stood_in: seconds so far in code that stands in for something a peer could not be given;
            None where there is no such code.
    """

    one: One
    ways: dict[str, Many]
    plain: Callable[[Any], list[dict[str, Any]]]
    facts: dict[str, Any] = field(default_factory=dict)
    stood_in: Callable[[], float] | None = None


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity call
        return os.cpu_count() or 1


def loop(one: One) -> Many:
    """One after the other."""
    return lambda paths: [one(path) for path in paths]


def pool(one: One, **options: Any) -> Many:
    """A thread a core, each with a photograph of its own; the threads live as long as the side."""
    threads = ThreadPoolExecutor(cores(), **options)
    return lambda paths: list(threads.map(one, paths))


def batches(many: Many, size: int) -> Many:
    """`many` on `size` photographs at a time."""
    return lambda paths: [
        result for at in range(0, len(paths), size) for result in many(paths[at : at + size])
    ]


def versions(*names: str) -> dict[str, str]:
    """Versions of the distributions, as installed here."""
    return {name: metadata.version(name) for name in names}
