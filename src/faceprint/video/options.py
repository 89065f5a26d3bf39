"""What a caller of `analyze_video` chooses, and what it can watch meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.min_quality import check_min_quality
from faceprint.types import OperatingPoint
from faceprint.video.source import DEFAULT_TIMEOUT

__all__ = ["VideoOptions", "VideoProgress"]


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How a video is analyzed.

    Attributes:
        start, end: seconds; the part from `start` up to before `end`.
        every: analyze every n-th frame; None measures the machine and keeps up with the video.
        point: the operating point for the gallery; None for that of its size
            (`Gallery.operating_point`).
        top: number of candidates per track.
        min_quality: the quality that a face needs to count; None for the embedder's limit, 0 for
            none.
        crops: keep the best face of each track with some surroundings.
        timeout: seconds without data after which a stream counts as stalled.
        reconnect: seconds for which a live stream that broke off is sought again; 0 ends with it.

    Raises:
        UsageError: a value is out of range.
    """

    start: float = 0.0
    end: float | None = None
    every: int | None = None
    point: OperatingPoint | None = None
    top: int = 5
    min_quality: float | None = None
    crops: bool = False
    timeout: float = DEFAULT_TIMEOUT
    reconnect: float = 0.0

    def __post_init__(self) -> None:
        check_min_quality(self.min_quality)
        if not (math.isfinite(self.start) and self.start >= 0):
            raise UsageError(f"start is {self.start}, not a number of seconds from 0 on")
        if self.end is not None and not self.end > self.start:
            raise UsageError(f"end is {self.end}, not after the start at {self.start:g} s")
        for name, value in (("every", self.every), ("top", self.top)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, not a positive whole number")
        if not self.reconnect >= 0:
            raise UsageError(f"reconnect is {self.reconnect}, not a number of seconds from 0 on")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise UsageError(f"timeout is {self.timeout}, not a positive number of seconds")


class VideoProgress:
    """How far the analysis is; `analyze_video` updates it, any thread may read it.

    Args:
        watch: called after each analyzed frame.

    Attributes:
        position: seconds; the time of the newest frame.
        duration: seconds up to which is analyzed; None for a stream without an end.
        frames: number of frames read.
        analyzed: number of frames in which faces were looked for.
        dropped: frames of a live stream that came while others were analyzed, and were not read.
        damaged: packets that could not be decoded.
    """

    def __init__(self, watch: Callable[[VideoProgress], None] | None = None) -> None:
        self.watch = watch
        self.position = 0.0
        self.duration: float | None = None
        self.frames = self.analyzed = self.dropped = self.damaged = 0
        self._stopped = False

    def stop(self) -> None:
        """End the analysis after the current frame; the tracks so far are given."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped
