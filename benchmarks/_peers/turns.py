"""Turns: every side does a chunk, then every side does the next, and what is made of the times.

A slow minute of the machine then hits all sides, and a ratio is taken chunk by chunk: both numbers
of it come from the same photographs at nearly the same time.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

__all__ = [
    "Samples",
    "chunks",
    "fastest_way",
    "fed",
    "ratio",
    "summary",
    "take_turns",
    "turn_order",
]

Item = TypeVar("Item")


class Answers(Protocol):
    """A side's process: `Child`, or a stand-in."""

    ways: list[str]

    def ask(self, do: str, paths: Sequence[Path] = (), **more: Any) -> dict[str, Any]:
        """See `Child.ask`."""
        ...


@dataclass
class Samples:
    """What one side needed, by the number of the chunk.

    Attributes:
        one: seconds of each photograph, done one at a time.
        bulk: seconds a photograph of the chunk, done in bulk.
        faces: faces found by each of the two, summed up.
    """

    one: dict[int, list[float]] = field(default_factory=dict)
    bulk: dict[int, float] = field(default_factory=dict)
    faces: dict[str, int] = field(default_factory=lambda: {"one": 0, "bulk": 0})

    def seconds(self, mode: str) -> dict[int, float]:
        """Seconds a photograph by chunk."""
        if mode == "bulk":
            return self.bulk
        return {index: statistics.fmean(times) for index, times in self.one.items()}


def chunks(items: Sequence[Item], size: int, rounds: int = 1) -> list[list[Item]]:
    """`items` in runs of `size`, the last as long as what is left; all of it `rounds` times."""
    parts = [list(items[at : at + size]) for at in range(0, len(items), size)]
    return parts * rounds


def turn_order(names: Sequence[Item], turn: int) -> list[Item]:
    """The sides in the order of a turn: each is first as often as the others."""
    first = turn % len(names) if names else 0
    return [*names[first:], *names[:first]]


def fastest_way(
    child: Answers, paths: Sequence[Path], skipped: Sequence[str] = ()
) -> tuple[str, dict[str, float]]:
    """The way of bulk work that is fastest here, and milliseconds a photograph of each."""
    tried = [way for way in child.ways if way not in skipped]
    times = {}
    for way in tried:
        child.ask("bulk", paths[: max(4, len(paths) // 4)], way=way)  # threads, graphs, caches
        times[way] = 1000 * child.ask("bulk", paths, way=way)["seconds"] / len(paths)
    return min(times, key=times.__getitem__), {way: round(ms, 2) for way, ms in times.items()}


def take_turns(
    child: Answers, samples: Samples, index: int, paths: Sequence[Path], way: str
) -> None:
    """One side's turn: the chunk one at a time, then in bulk."""
    singly = child.ask("one", paths)
    together = child.ask("bulk", paths, way=way)
    samples.one[index] = singly["seconds"]
    samples.bulk[index] = together["seconds"] / len(paths)
    samples.faces["one"] += sum(singly["faces"])
    samples.faces["bulk"] += sum(together["faces"])


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[str, Any] | None:
    """How many times as fast ours is, over the chunks that both did; None where there are none.

    The median over the chunks, and the quartiles where there are enough to have any.
    """
    values = sorted(theirs[index] / ours[index] for index in ours.keys() & theirs.keys())
    if not values:
        return None
    found: dict[str, Any] = {"median": round(statistics.median(values), 2), "turns": len(values)}
    if len(values) >= 4:
        low, _, high = statistics.quantiles(values, n=4)
        found["quartiles"] = [round(low, 2), round(high, 2)]
    return found


def summary(samples: Samples) -> dict[str, Any]:
    """Milliseconds and rates of one side."""
    photographs = [seconds for times in samples.one.values() for seconds in times]
    if not photographs:
        return {"photographs": 0}
    bulk = statistics.median(samples.bulk.values())
    cuts = statistics.quantiles(photographs, n=10) if len(photographs) > 1 else photographs * 9
    return {
        "photographs": len(photographs),
        "turns": len(samples.bulk),
        "one": {
            "ms_mean": round(1000 * statistics.fmean(photographs), 2),
            "ms_median": round(1000 * statistics.median(photographs), 2),
            "ms_9_of_10_below": round(1000 * cuts[8], 2),
        },
        "bulk": {"ms": round(1000 * bulk, 2), "photographs_a_second": round(1 / bulk, 1)},
        "faces": dict(samples.faces),
    }


def fed(inputs: Mapping[str, int], photographs: int) -> dict[str, Any]:
    """What the networks of a side were shown, by photograph: calls, pixels, the usual shapes.

    Args:
        inputs: shape as `1x3x640x640` -> calls.
    """
    pixels = 0
    for shape, calls in inputs.items():
        batch, _, height, width = map(int, shape.split("x"))
        pixels += batch * height * width * calls
    most = sorted(inputs.items(), key=lambda item: -item[1])[:6]
    return {
        "calls": round(sum(inputs.values()) / photographs, 2),
        "kilopixels": round(pixels / 1000 / photographs, 1),
        "shapes": dict(most),
    }
