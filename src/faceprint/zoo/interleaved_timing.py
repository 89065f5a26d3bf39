"""Time alternatives in turn, so that other work on the machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

__all__ = ["time_in_turn"]


def time_in_turn(
    sides: Mapping[str, Callable[[], object]], *, rounds: int = 9, budget: float = 1.2
) -> dict[str, list[float]]:
    """Return the seconds of each call of each alternative.

    Args:
        sides: what to run; run each once before, so that nothing is timed cold.
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
