"""Shows a video in a window while another thread analyzes it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable

from faceprint.video.marks import MarkedFrame
from faceprint.video.playback import Playback
from faceprint.video.track import Track
from faceprint.video.window import Window

__all__ = ["watched_tracks"]

_POLL = 0.01
"""Seconds between two looks at what is due: half of the shortest time between frames at 50 Hz."""


def watched_tracks(
    analysis: Callable[[Callable[[MarkedFrame], None]], Iterable[Track]],
    window: Window,
    stop: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Track, None, None]:
    """The tracks of an analysis, while its frames are shown.

    The calling thread keeps the window, since a desktop wants a window's events in the main thread;
    the analysis runs in another one. If the user closes the window, the analysis is stopped and the
    tracks so far follow.

    Args:
        analysis: starts it; takes what is called with each frame.
        window: stays open for another video, unless the user closes it.
        stop: ends the analysis after its current frame.
        clock: seconds.

    Raises:
        Exception: what the analysis raised, after its tracks.
    """
    playback = Playback()
    worker = _Worker(lambda: analysis(playback.put), playback)
    try:
        while not (playback.over or window.closed):
            yield from worker.found()
            frame = playback.take(clock())
            if frame is not None:
                window.show(frame)
            window.update()
            playback.wait(_POLL)
        if window.closed:
            stop()
        playback.close()
        yield from worker.rest()
    finally:
        stop()
        playback.close()
        worker.join()


class _Worker:
    """A thread that runs an analysis and keeps its tracks until they are asked for."""

    def __init__(self, start: Callable[[], Iterable[Track]], playback: Playback) -> None:
        self._start, self._playback = start, playback
        self._tracks: queue.SimpleQueue[Track | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="faceprint-analysis", daemon=True)
        self._thread.start()

    def found(self) -> Generator[Track, None, None]:
        """The tracks that are over by now."""
        while not self._tracks.empty():
            track = self._tracks.get()
            if track is None:
                self._tracks.put(None)  # for `rest`
                return
            yield track

    def rest(self) -> Generator[Track, None, None]:
        """All further tracks; then what the analysis raised is raised."""
        while (track := self._tracks.get()) is not None:
            yield track
        if self._error is not None:
            raise self._error

    def join(self) -> None:
        """Wait until the thread is over."""
        self._thread.join()

    def _run(self) -> None:
        try:
            for track in self._start():
                self._tracks.put(track)
        except BaseException as error:  # noqa: BLE001 - raised again where the tracks are taken
            self._error = error
        finally:
            self._tracks.put(None)
            self._playback.finish()
