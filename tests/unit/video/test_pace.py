from __future__ import annotations

import pytest

from faceprint.video.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(pace: Pace, clock: Clock, frames: int, decode: float, analysis: float) -> list[int]:
    """The numbers of the frames analyzed, when each costs these seconds."""
    chosen = []
    for number in range(frames):
        clock.now += decode
        if pace.due():
            with pace.analysis():
                clock.now += analysis
            chosen.append(number)
    return chosen


def test_every_nth_frame() -> None:
    clock = Clock()
    assert run(Pace(4, 25.0, clock), clock, 12, 1.0, 1.0) == [0, 4, 8]
    assert run(Pace(1, 25.0, clock), clock, 3, 1.0, 1.0) == [0, 1, 2]


@pytest.mark.parametrize(
    ("decode", "analysis", "stride"),
    [
        (0.001, 0.01, 2),  # ten a second are enough: 25 / 10
        (0.010, 0.10, 4),  # 100 ms of analysis in the 30 ms that decoding leaves
        (0.010, 0.20, 7),
        (0.010, 5.00, 12),  # never less than two a second
        (0.500, 0.01, 12),  # decoding alone is too slow
    ],
)
def test_the_stride_keeps_up_with_the_video(decode: float, analysis: float, stride: int) -> None:
    clock = Clock()
    pace = Pace(None, 25.0, clock)
    start = clock.now
    chosen = run(pace, clock, 200, decode, analysis)
    assert pace.stride == stride
    assert chosen[0] == 0 and chosen[-1] - chosen[-2] == stride
    if stride < 12:
        assert clock.now - start <= 200 / 25 * 1.1, "not slower than it is shown"


def test_one_frame_a_second_is_analyzed_whole() -> None:
    clock = Clock()
    assert run(Pace(None, 1.0, clock), clock, 4, 0.001, 0.1) == [0, 1, 2, 3]


def test_waiting_for_a_window_does_not_count() -> None:
    clock = Clock()
    pace = Pace(None, 25.0, clock)
    for _ in range(50):
        clock.now += 0.001
        if pace.due():
            with pace.analysis():
                clock.now += 0.01
        with pace.apart():
            clock.now += 0.5
    assert pace.stride == 2


@pytest.mark.parametrize(
    ("analysis", "distance"),
    [(0.01, 2), (0.07, 2), (0.1, 3), (0.19, 5), (0.9, 22)],
)
def test_a_camera_is_looked_at_as_often_as_the_machine_can(analysis: float, distance: int) -> None:
    """The wait for its next frame is no work, and the frames that it drops have passed too."""
    clock, shown, chosen = Clock(), -1, list[int]()
    pace, start = Pace(None, 25.0, clock), clock.now
    while shown < 200:
        with pace.apart():
            number = max(shown + 1, int((clock.now - start) * 25 + 1e-6))
            clock.now = max(clock.now, start + number / 25)
        dropped, shown = number - shown - 1, number
        if pace.due(dropped):
            with pace.analysis():
                clock.now += analysis
            chosen.append(number)
    assert chosen[-1] - chosen[-2] == distance
