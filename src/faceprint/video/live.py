"""The newest frame of a live stream: those that nobody could take in time are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Self

from faceprint.video.frames import Frame

__all__ = ["Newest"]

_POLL = 0.1
"""Seconds after which a wait for a frame asks whether it is still wanted."""


class Newest:
    """An iterator over a stream's frames that skips to the newest one.

    A thread reads all the time, so that the camera's buffers never fill and what is analyzed is
    never old. Memory is bounded by one frame.

    Attributes:
        dropped: number of frames that were replaced by a newer one.

    Args:
        frames: read by the thread.
        closed: set by `close`, so that `frames` need not wait for what nobody wants.
        stopped: whether nobody wants more frames, even if none comes for long.
    """

    def __init__(
        self,
        frames: Generator[Frame, None, None],
        closed: threading.Event,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.dropped = 0
        self._frames = frames
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._error: BaseException | None = None
        self._closed, self._over = closed, False
        self._stopped = stopped
        self._thread = threading.Thread(target=self._read, name="faceprint-video", daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        """The newest frame, as soon as there is one that was not given yet.

        Raises:
            InputError: what reading the stream raised.
        """
        with self._changed:
            while not self._changed.wait_for(self._ready, _POLL):
                if self._stopped():
                    raise StopIteration
            frame, self._newest = self._newest, None
            if frame is not None:
                return frame
            if self._error is not None:
                error, self._error = self._error, None
                raise error
        raise StopIteration

    def close(self) -> None:
        """Stop reading, and wait for the thread: at most as long as the stream's timeout."""
        self._closed.set()
        self._thread.join()

    def _ready(self) -> bool:
        return self._newest is not None or self._over

    def _read(self) -> None:
        try:
            for read in self._frames:
                frame = read
                with self._changed:
                    if self._newest is not None:
                        self.dropped += 1
                        frame = replace(frame, resumed=frame.resumed or self._newest.resumed)
                    self._newest = frame
                    self._changed.notify()
                if self._closed.is_set():
                    break
        except Exception as error:  # noqa: BLE001 - raised again where the frames are taken
            self._error = error
        finally:
            self._frames.close()
            with self._changed:
                self._over = True
                self._changed.notify()
