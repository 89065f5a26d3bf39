from __future__ import annotations

import threading

import numpy as np

from faceprint.types import Image
from faceprint.video.marks import MarkedFrame
from faceprint.video.playback import Playback


def pixels() -> Image:
    return np.zeros((2, 2, 3), np.uint8)


def frame(time: float, live: bool = False) -> MarkedFrame:
    return MarkedFrame(time, live, pixels, np.empty((0, 4), np.float32), ())


def taken(playback: Playback, now: float) -> float | None:
    found = playback.take(now)
    return None if found is None else found.time


def test_a_file_is_played_as_it_was_recorded() -> None:
    playback = Playback()
    for number in range(10):
        playback.put(frame(5 + number))  # it begins at 5 s
    clock = [100.0, 100.5, 101.0, 101.9, 102.1]
    assert [taken(playback, now) for now in clock] == [5, None, 6, None, 7]


def test_what_a_slow_window_can_not_show_is_left_out() -> None:
    playback = Playback()
    for number in range(10):
        playback.put(frame(number))
    assert [taken(playback, now) for now in (100.0, 103.2, 104.0, 109.0)] == [0, 3, 4, 9]


def test_after_a_slow_analysis_the_pace_is_that_of_the_video() -> None:
    playback = Playback()
    playback.put(frame(0))
    assert [taken(playback, now) for now in (100.0, 100.5)] == [0, None]
    for number in (1, 2, 3):
        playback.put(frame(number))
    assert [taken(playback, now) for now in (107.0, 107.5, 108.0, 109.0)] == [1, None, 2, 3]


def test_a_fast_analysis_does_not_make_it_faster() -> None:
    playback = Playback()
    playback.put(frame(0))
    assert [taken(playback, now) for now in (100.0, 100.1)] == [0, None]
    playback.put(frame(1))
    assert [taken(playback, now) for now in (100.2, 100.9, 101.0)] == [None, None, 1]


def test_of_a_camera_the_newest_frame_is_shown_at_once() -> None:
    playback = Playback()
    for number in range(100):
        playback.put(frame(number, live=True))
    assert [taken(playback, now) for now in (5.0, 5.0)] == [99, None]


def test_the_analysis_of_a_file_waits_for_room() -> None:
    playback, put = Playback(), list[int]()

    def fill() -> None:
        for number in range(40):
            playback.put(frame(number))
            put.append(number)

    thread = threading.Thread(target=fill)
    thread.start()
    for now in range(30):
        while (shown := taken(playback, now)) is None:
            playback.wait(0.01)
        assert shown == now
    assert len(put) <= 30 + 16
    playback.close()
    thread.join()
    assert put == list(range(40)), "nobody waits once it is closed"
    assert playback.take(100.0) is None


def test_the_end() -> None:
    playback = Playback()
    playback.put(frame(0))
    playback.finish()
    assert not playback.over
    assert taken(playback, 0.0) == 0
    assert playback.over
    playback.wait(1e6)  # for nothing
