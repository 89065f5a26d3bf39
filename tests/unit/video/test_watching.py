from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from video_clips import RATE, clip, write

import faceprint
from faceprint.errors import InputError
from faceprint.types import Image
from faceprint.video.analyze import analyze_video
from faceprint.video.marks import MarkedFrame
from faceprint.video.options import VideoOptions, VideoProgress
from faceprint.video.track import Track
from faceprint.video.watching import watched_tracks


class FakeWindow:
    """Notes what it shows, and is closed after so many frames."""

    def __init__(self, patience: int = 10_000) -> None:
        self.shown: list[MarkedFrame] = []
        self.patience = patience
        self.thread = threading.current_thread()

    @property
    def closed(self) -> bool:
        return len(self.shown) >= self.patience

    def title(self, text: str) -> None:
        raise AssertionError(text)

    def show(self, frame: MarkedFrame) -> None:
        self.update()
        self.shown.append(frame)

    def update(self) -> None:
        assert threading.current_thread() is self.thread

    def close(self) -> None:
        raise AssertionError("the window is its owner's")


class Clock:
    """Goes so fast that nothing waits, and so slowly that every frame is shown."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.5 / RATE
        return self.now


def track(number: int) -> Track:
    return Track(number, np.zeros(1), np.zeros((1, 4), np.float32), ())


def pixels() -> Image:
    return np.zeros((2, 2, 3), np.uint8)


def frame(time: float) -> MarkedFrame:
    return MarkedFrame(time, False, pixels, np.empty((0, 4), np.float32), ())


class Analysis:
    """A frame and a track in turn, until it is stopped."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.stopped = threading.Event()
        self.given = 0

    def __call__(self, look: Callable[[MarkedFrame], None]) -> Iterator[Track]:
        for number in range(self.count):
            look(frame(number / RATE))
            yield track(number)
            self.given += 1
            if self.stopped.is_set():
                break
        yield track(-1)  # as at the end of a video: what was not over before
        if self.error is not None:
            raise self.error

    def watched(self, window: FakeWindow) -> Generator[Track, None, None]:
        return watched_tracks(self, window, self.stopped.set, Clock())


def test_all_tracks_come_and_all_frames_are_shown() -> None:
    analysis, window = Analysis(100), FakeWindow()
    assert [each.number for each in analysis.watched(window)] == [*range(100), -1]
    assert [each.time for each in window.shown] == [number / RATE for number in range(100)]


def test_closing_the_window_ends_the_analysis_in_order() -> None:
    analysis, window = Analysis(1_000_000), FakeWindow(3)
    numbers = [each.number for each in analysis.watched(window)]
    assert len(window.shown) == 3 and len(numbers) < 1000
    assert numbers == [*range(analysis.given), -1]


def test_an_error_comes_after_the_tracks() -> None:
    running = Analysis(3, InputError("broke off")).watched(FakeWindow())
    assert [next(running).number for _ in range(4)] == [0, 1, 2, -1]
    with pytest.raises(InputError, match="broke off"):
        next(running)


def test_who_asks_for_no_more_tracks_ends_the_thread() -> None:
    analysis = Analysis(1_000_000)
    running = analysis.watched(FakeWindow())
    next(running)
    running.close()
    assert analysis.stopped.is_set()
    names = [thread.name for thread in threading.enumerate()]
    assert "faceprint-analysis" not in names


def watch(path: Path, window: FakeWindow, progress: VideoProgress) -> list[Track]:
    analyzer = faceprint.load(threads=1)

    def analysis(look: Callable[[MarkedFrame], None]) -> Iterator[Track]:
        options = VideoOptions(every=3)
        return analyze_video(path, analyzer, options=options, progress=progress, look=look)

    return list(watched_tracks(analysis, window, progress.stop, Clock()))


def test_a_video(tmp_path: Path) -> None:
    made = clip("pan")
    path, window = write(tmp_path / "pan.mp4", made.frames, made.times), FakeWindow()
    (found,) = watch(path, window, VideoProgress())
    assert (found.start, len(found.times)) == (0.0, 20)
    assert [each.time for each in window.shown] == pytest.approx(made.times, abs=0.002)
    for each in window.shown[1:58]:  # frame 57 is the last one analyzed
        expected = found.box_at(each.time)
        assert expected is not None and each.names == ("",)
        assert each.boxes[0] == pytest.approx(expected, abs=0.01)
    assert [len(each.boxes) for each in window.shown[58:]] == [0, 0]
    assert window.shown[0].image().shape == made.frames[0].shape


def test_a_video_that_is_closed(tmp_path: Path) -> None:
    made, progress = clip("comes_back"), VideoProgress()
    path, window = write(tmp_path / "back.mp4", made.frames, made.times), FakeWindow(10)
    (found,) = watch(path, window, progress)
    assert found.end < 1.4 and progress.frames < 110
