"""Timing in turn: the order of the calls, and the budget."""

from __future__ import annotations

from faceprint.zoo.interleaved_timing import time_in_turn


def test_timing_takes_turns_and_stops_in_time() -> None:
    order: list[str] = []
    sides = {name: (lambda name=name: order.append(name)) for name in "ab"}
    times = time_in_turn(sides, rounds=4)
    assert order == list("abababab")
    assert [len(value) for value in times.values()] == [4, 4]
    assert len(time_in_turn(sides, rounds=100, budget=0.0)["a"]) == 3
