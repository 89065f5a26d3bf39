"""Hands frames from the thread that analyzes a video to the one that shows it, at its own pace."""

from __future__ import annotations

import threading
from collections import deque

from faceprint.video.marks import MarkedFrame

__all__ = ["Playback"]

_MOST = 16
"""Frames that may lie ready. They are those between two analyses, so that these don't show."""


class Playback:
    """A bounded queue of frames with the time at which each is due.

    A file is played as fast as it was recorded. Where the analysis is slower, frames come when they
    are ready, and none is made up for by playing faster later; where drawing is slower, frames are
    left out. Of a live stream only the newest frame is kept, and it is due at once.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frames: deque[MarkedFrame] = deque()
        self._begun: float | None = None  # when the frame at 0 s was due
        self._starved = True
        self._closed = self._over = False

    def put(self, frame: MarkedFrame) -> None:
        """Add a frame. For a file this waits while there is no room."""
        with self._changed:
            if frame.live:
                self._frames.clear()
            self._changed.wait_for(lambda: len(self._frames) < _MOST or self._closed)
            if not self._closed:
                self._frames.append(frame)
            self._changed.notify_all()

    def take(self, now: float) -> MarkedFrame | None:
        """The frame to show at a time on the clock; None if what is shown stays."""
        with self._changed:
            if not self._frames:
                self._starved = True
                return None
            if self._frames[0].live:
                return self._frames.pop()
            first = now - self._frames[0].time
            if self._begun is None or self._starved:
                self._begun = first if self._begun is None else max(self._begun, first)
            self._starved = False
            shown = None
            while self._frames and self._begun + self._frames[0].time <= now:
                shown = self._frames.popleft()
            self._changed.notify_all()
            return shown

    def wait(self, seconds: float) -> None:
        """Wait for a change, at most so long."""
        with self._changed:
            if not (self._over and not self._frames):
                self._changed.wait(seconds)

    def finish(self) -> None:
        """No more frames come."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes frames any more; `put` drops them."""
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Whether all frames were taken and no more come."""
        with self._changed:
            return self._over and not self._frames
