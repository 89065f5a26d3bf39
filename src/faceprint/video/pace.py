"""How often frames are analyzed: as often as the machine can, and no more than helps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["MOST_OFTEN", "Pace"]

MOST_OFTEN = 10.0
"""Analyzed frames per second that a track gains nothing beyond."""

_LEAST_OFTEN = 2.0
"""Analyzed frames per second below which faces are lost from one to the next."""

_MEMORY = 0.8


class Pace:
    """Chooses the frames to analyze: every n-th, or as fast as the video is shown.

    Without `every`, n is the smallest number at which decoding and analysis together keep up with
    the video, between ten and two analyzed frames a second. A file on a machine that can't keep up
    with two takes longer than it lasts; a live stream then loses frames.

    Args:
        every: n; None to measure.
        rate: frames per second.
        clock: seconds, for tests.
    """

    def __init__(
        self, every: int | None, rate: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._every, self._rate, self._clock = every, rate, clock
        self._waited: int | None = None  # frames since the last one analyzed
        self._frame_cost = self._analysis_cost = 0.0
        self._last = clock()

    @property
    def stride(self) -> int:
        """n: at present every n-th frame is analyzed."""
        if self._every is not None:
            return self._every
        fewest = max(1, round(self._rate / MOST_OFTEN))
        most = max(fewest, round(self._rate / _LEAST_OFTEN))
        spare = 1 / self._rate - self._frame_cost
        if spare <= 0:
            return most
        return min(most, max(fewest, math.ceil(self._analysis_cost / spare)))

    def due(self, dropped: int = 0) -> bool:
        """Whether the next frame is to be analyzed; asked once for each frame.

        Args:
            dropped: frames between this one and the last that nobody could take.
        """
        now = self._clock()
        if self._waited is not None:
            self._frame_cost = _smoothed(self._frame_cost, now - self._last)
        self._last = now
        self._waited = self.stride if self._waited is None else self._waited + 1 + dropped
        return self._waited >= self.stride

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Around what is no work for the video: waiting for a camera's next frame, or a window."""
        start = self._clock()
        yield
        self._last += self._clock() - start

    @contextmanager
    def analysis(self) -> Iterator[None]:
        """Around the analysis of a frame, whose time it measures."""
        start = self._clock()
        yield
        end = self._clock()
        self._analysis_cost = _smoothed(self._analysis_cost, end - start)
        self._last += end - start
        self._waited = 0


def _smoothed(before: float, now: float) -> float:
    return now if not before else _MEMORY * before + (1 - _MEMORY) * now
