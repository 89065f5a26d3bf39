from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from video_clips import RATE, clip, write

import faceprint
from faceprint.errors import InputError, UsageError
from faceprint.video.analyze import _awaited, analyze_video
from faceprint.video.options import VideoOptions, VideoProgress
from faceprint.video.pace import Pace
from faceprint.vision.analyzer import FaceAnalyzer


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return faceprint.load(threads=1)


@pytest.fixture
def over() -> threading.Event:
    """Set: a stream that stalls breaks off."""
    return threading.Event()


@pytest.fixture
def camera(tmp_path: Path, over: threading.Event) -> Iterator[Callable[[bool], str]]:
    """The address of a live stream of the zoom that breaks off, or stalls, after its last frame."""
    made = clip("zoom")
    data = write(tmp_path / "live.ts", made.frames, made.times).read_bytes()
    server = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(stalls: bool) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(data)
            if stalls:
                over.wait(60)

    def start(stalls: bool) -> str:
        threads.append(threading.Thread(target=serve, args=(stalls,), daemon=True))
        threads[-1].start()
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"

    yield start
    over.set()
    for thread in threads:
        thread.join()
    server.close()


def test_frames_of_a_live_stream_are_analyzed_or_counted_as_dropped(
    analyzer: FaceAnalyzer, camera: Callable[[bool], str]
) -> None:
    progress = VideoProgress()
    tracks = list(
        analyze_video(camera(False), analyzer, options=VideoOptions(every=1), progress=progress)
    )
    assert progress.frames + progress.dropped == 60 and progress.frames == progress.analyzed
    assert progress.duration is None
    assert len(tracks) == 1 and tracks[0].end == pytest.approx(59 / RATE, abs=0.002)


def test_who_looks_at_a_live_stream(analyzer: FaceAnalyzer, camera: Callable[[bool], str]) -> None:
    progress, shown = VideoProgress(), list[faceprint.MarkedFrame]()
    options = VideoOptions(every=2)
    list(
        analyze_video(
            camera(False), analyzer, options=options, progress=progress, look=shown.append
        )
    )
    assert len(shown) == progress.frames and all(frame.live for frame in shown)


def test_stopping_while_a_live_stream_sends_nothing(
    analyzer: FaceAnalyzer, camera: Callable[[bool], str], over: threading.Event
) -> None:
    """It is stopped in another thread, once the last frame that can be decoded was analyzed."""
    progress, last = VideoProgress(), threading.Event()
    progress.watch = lambda now: last.set() if now.position > 2.2 else None

    def stop() -> None:
        last.wait(60)
        progress.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    options = VideoOptions(every=1, timeout=60.0, reconnect=0.0)
    running = analyze_video(camera(True), analyzer, options=options, progress=progress)
    assert next(running).number == 1, "although the stream still stalls"
    over.set()
    assert list(running) == []
    thread.join()


def test_a_live_stream_that_stalls_gives_its_tracks_and_then_the_error(
    analyzer: FaceAnalyzer, camera: Callable[[bool], str]
) -> None:
    options = VideoOptions(every=1, timeout=1.0)
    running = analyze_video(camera(True), analyzer, options=options)
    assert next(running).number == 1
    with pytest.raises(InputError, match="gave no data for 1 s"):
        next(running)


def test_a_live_stream_cannot_be_started_later(
    analyzer: FaceAnalyzer, camera: Callable[[bool], str]
) -> None:
    with pytest.raises(UsageError, match="can't be started"):
        list(analyze_video(camera(False), analyzer, options=VideoOptions(start=1.0)))


def test_the_wait_for_a_camera_is_no_work() -> None:
    now = [0.0]

    def camera() -> Iterator[int]:
        for number in range(50):
            now[0] += 0.04
            yield number

    pace, newest = Pace(None, 25.0, lambda: now[0]), cast("Any", camera())
    for _ in _awaited(newest, pace):
        if pace.due():
            with pace.analysis():
                now[0] += 0.01
    assert pace.stride == 2
