from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import Any

import pytest

from faceprint.errors import InputError
from faceprint.video.frames import Frame
from faceprint.video.live import Newest

RAW: Any = None


class Camera:
    """Gives as many frames as the test orders, and ends when it says so."""

    def __init__(self, *, ends_with: Exception | None = None) -> None:
        self.orders: queue.Queue[bool] = queue.Queue()
        self.closed = threading.Event()
        self.ends_with = ends_with

    def frames(self) -> Generator[Frame, None, None]:
        number = 0
        try:
            while self.orders.get(timeout=60):
                yield Frame(float(number), RAW, resumed=number == 3)
                number += 1
            if self.ends_with is not None:
                raise self.ends_with
        finally:
            self.closed.set()

    def shoot(self, count: int) -> None:
        for _ in range(count):
            self.orders.put(True)

    def end(self) -> None:
        self.orders.put(False)


def test_the_newest_frame_is_given_and_the_others_are_counted() -> None:
    camera = Camera()
    newest = Newest(camera.frames(), threading.Event())
    camera.shoot(1)
    assert next(newest).time == 0.0
    camera.shoot(5)
    camera.end()
    assert camera.closed.wait(60)
    assert [(frame.time, frame.resumed) for frame in newest] == [(5.0, True)]
    assert newest.dropped == 4
    newest.close()


def test_an_error_comes_after_the_last_frame() -> None:
    camera = Camera(ends_with=InputError("gave no data"))
    newest = Newest(camera.frames(), threading.Event())
    camera.shoot(1)
    camera.end()
    assert camera.closed.wait(60)
    assert next(newest).time == 0.0
    with pytest.raises(InputError, match="gave no data"):
        next(newest)
    newest.close()


def test_closing_stops_the_reader() -> None:
    camera = Camera()
    newest = Newest(camera.frames(), threading.Event())
    camera.shoot(1)
    next(newest)
    camera.shoot(1)
    newest.close()
    assert camera.closed.is_set()


def test_a_wait_for_a_frame_ends_when_nobody_wants_it() -> None:
    camera, unwanted = Camera(), threading.Event()
    newest = Newest(camera.frames(), threading.Event(), unwanted.is_set)
    camera.shoot(1)
    assert next(newest).time == 0.0
    unwanted.set()
    assert list(newest) == [], "although the stream goes on"
    camera.end()
    newest.close()
