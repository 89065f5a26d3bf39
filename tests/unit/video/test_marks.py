from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest

from faceprint.types import Array, Face
from faceprint.video.frames import Frame
from faceprint.video.marks import LiveMarks, MarkedFrame, mark
from faceprint.video.tracker import Step

LINE = (64, 224, 208)
"""The color of a box."""


class Raw:
    """A decoder's frame whose pixels are not looked at."""


def frame(time: float) -> Frame:
    raw: Any = Raw()
    return Frame(time, raw)


def step(*keys: int, **over: Any) -> Step:
    return Step(np.asarray(keys, np.intp), **over)


def box(left: float) -> Array:
    return np.asarray([left, 10, left + 20, 30], np.float32)


def lefts(shown: list[MarkedFrame]) -> list[list[float]]:
    """Where the boxes of each frame begin."""
    return [[float(left) for left in each.boxes[:, 0]] for each in shown]


def test_boxes_of_a_file_lie_between_two_analyses() -> None:
    shown: list[MarkedFrame] = []
    marks = LiveMarks(shown.append, live=False)
    marks.analyzed(frame(0.0), step(7), [box(0)], [""])
    marks.passed(frame(1.0))
    marks.passed(frame(3.0))
    assert [each.time for each in shown] == [0.0], "they wait"
    marks.analyzed(frame(4.0), step(7), [box(40)], ["Ada"])
    assert [each.time for each in shown] == [0.0, 1.0, 3.0, 4.0]
    assert lefts(shown) == [[], [10.0], [30.0], [40.0]], "marked from the second detection on"
    assert [each.names for each in shown[1:]] == [("Ada",)] * 3
    assert not any(each.live for each in shown)


def test_a_face_that_is_not_found_for_a_moment() -> None:
    shown: list[MarkedFrame] = []
    marks = LiveMarks(shown.append, live=False)
    marks.analyzed(frame(0.0), step(7), [box(0)], [""])
    marks.analyzed(frame(1.0), step(), [], [])
    marks.analyzed(frame(2.0), step(7, 8), [box(20), box(90)], ["", ""])
    marks.analyzed(frame(3.0), step(8, ended=(7,)), [box(90)], [""])
    marks.analyzed(frame(4.0), step(7), [box(60)], [""])
    assert lefts(shown) == [[], [], [20.0], [90.0], []]


def test_frames_of_a_camera_are_shown_at_once_with_the_last_boxes() -> None:
    shown: list[MarkedFrame] = []
    marks = LiveMarks(shown.append, live=True)
    for time in (0.0, 1.0):
        marks.analyzed(frame(time), step(7), [box(40 * time)], [""])
    marks.passed(frame(2.0))
    assert lefts(shown) == [[], [40.0], [40.0]] and all(each.live for each in shown)
    marks.cut()
    marks.passed(frame(3.0))
    assert lefts(shown)[-1] == []


def test_after_the_last_analysis_of_a_file_nothing_is_marked() -> None:
    shown: list[MarkedFrame] = []
    marks = LiveMarks(shown.append, live=False)
    for time in (0.0, 1.0):
        marks.analyzed(frame(time), step(7), [box(0)], [""])
    marks.passed(frame(2.0))
    marks.cut()
    assert [each.time for each in shown] == [0.0, 1.0, 2.0] and lefts(shown)[-1] == []


def test_not_all_frames_wait_however_rarely_it_looks() -> None:
    shown: list[MarkedFrame] = []
    marks = LiveMarks(shown.append, live=False)
    for number in range(100):
        marks.passed(frame(number))
    assert [each.time for each in shown] == list(range(70))


def test_nobody_looks() -> None:
    marks = LiveMarks(None, live=False)
    marks.passed(frame(0.0))
    marks.analyzed(frame(1.0), step(7), [box(0)], [""])
    marks.cut()


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_drawing_fits_a_picture_of_another_size(scale: float) -> None:
    side = round(100 * scale)
    picture = PIL.Image.new("RGB", (side, side))
    mark(picture, [(Face(np.asarray([20, 40, 60, 80], np.float32), 1.0, None), "Ada")], scale)
    pixels = np.asarray(picture)
    found = np.argwhere((pixels == LINE).all(axis=2))
    assert found[:, 1].min() == pytest.approx(20 * scale, abs=2)
    assert found[:, 0].max() == pytest.approx(80 * scale, abs=2)
