"""Times things against each other on a machine that has other work to do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["median_ratio", "rotate"]


def rotate(
    sides: Mapping[str, Callable[[], object]], *, rounds: int = 9, budget: float = 1.2
) -> dict[str, list[float]]:
    """Seconds of each side, in turn, so that a slow moment hits all of them.

    Args:
        sides: what to run; each was run once before, so that nothing is timed cold.
        rounds: turns at most.
        budget: seconds after which no further turn begins, once there were three.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    begun = time.perf_counter()
    for turn in range(rounds):
        if turn >= 3 and time.perf_counter() - begun > budget:
            break
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def median_ratio(times: Mapping[str, list[float]], slow: str, fast: str) -> float:
    """How many times as fast one side was as the other, by the medians."""
    return statistics.median(times[slow]) / statistics.median(times[fast])
