from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import pytest

from faceprint.errors import InputError
from faceprint.video.frames import Frame
from faceprint.video.reconnect import lasting_frames

RAW: Any = None
GONE = InputError("camera: gave no data for 10 s")


class Camera:
    """A stream after a script: what each connection gives, and which attempts fail.

    Its clock goes on by waiting, and by half a second with each frame.
    """

    name = "camera"

    def __init__(self, *connections: list[Any], failing: int = 0) -> None:
        self.connections = list(connections)
        self.failing = failing
        self.now = 100.0
        self.waits: list[float] = []
        self.unwanted = False

    def frames(self, start: float = 0.0) -> Generator[Frame, None, None]:
        for number, item in enumerate(self.connections.pop(0)):
            if isinstance(item, Exception):
                raise item
            self.now += 0.5
            yield Frame(number / 2, RAW)

    def reopen(self) -> None:
        if self.failing:
            self.failing -= 1
            raise InputError("camera: Connection refused")

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return self.unwanted

    def seen(self, patience: float, end: float | None = None) -> list[tuple[float, bool]]:
        found = lasting_frames(
            self, start=0.0, end=end, patience=patience, wait=self.wait, clock=lambda: self.now
        )
        return [(frame.time, frame.resumed) for frame in found]


def test_without_patience_a_stream_ends_as_it_ends() -> None:
    assert Camera([1, 1]).seen(0) == [(0.0, False), (0.5, False)]
    with pytest.raises(InputError, match="gave no data"):
        Camera([1, GONE]).seen(0)


def test_a_camera_that_goes_away_is_found_again(caplog: pytest.LogCaptureFixture) -> None:
    camera = Camera([1, 1, GONE], [1, 1, GONE], [1], failing=2)
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="not found again"):
        found = lasting_frames(
            camera, start=0.0, end=None, patience=60, wait=camera.wait, clock=lambda: camera.now
        )
        seen = []
        for frame in found:
            seen.append((frame.time, frame.resumed))
            if len(seen) == 5:
                camera.failing = 1000
    # Two frames, then waits of 1, 2 and 4 s; two frames, then a wait of 1 s.
    assert seen == [(0.0, False), (0.5, False), (8.0, True), (8.5, False), (10.0, True)]
    assert camera.waits[:4] == [1, 2, 4, 1]
    assert camera.waits[4:] == [1, 2, 4, 8, 16, 29], "twice as long each time, up to the patience"
    assert caplog.text.count("looking for it again") == 3
    assert caplog.text.count("found again") == 2


def test_the_longest_wait_is_half_a_minute() -> None:
    camera = Camera([1, GONE], failing=1000)
    with pytest.raises(InputError, match="within 600 s"):
        camera.seen(600)
    assert max(camera.waits) == 30 and sum(camera.waits) == pytest.approx(600)


def test_the_end_and_being_unwanted_end_the_search() -> None:
    assert Camera([1, 1, 1, GONE]).seen(60, end=1.0) == [(0.0, False), (0.5, False)]
    camera = Camera([1, GONE])
    camera.unwanted = True
    assert camera.seen(60) == [(0.0, False)] and camera.waits == [1]
