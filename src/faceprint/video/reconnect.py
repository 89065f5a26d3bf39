"""A live stream that broke off is opened again, with longer and longer waits between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Literal, Protocol

from faceprint.errors import InputError
from faceprint.video.frames import Frame

__all__ = ["Stream", "lasting_frames"]

_LOG = logging.getLogger("faceprint.video")
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0
_STEP = 1e-3
"""Seconds between two frames whose times do not grow."""


class Stream(Protocol):
    """What is needed of a `Video`."""

    name: str

    def frames(self, start: float = 0.0) -> Generator[Frame, None, None]:
        """The frames from now on, with times from 0."""

    def reopen(self) -> None:
        """Connect again."""


def lasting_frames(
    stream: Stream,
    *,
    start: float,
    end: float | None,
    patience: float,
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Frame, None, None]:
    """The frames of a live stream; it is sought again where it breaks off.

    Times go on as the clock does, and the first frame after a break has `resumed` set.

    Args:
        start: a live stream refuses any but 0.
        end: seconds at which to end; None for never.
        patience: seconds for which a stream that broke off is sought; 0 ends with it.
        wait: waits so many seconds; True if the frames are not wanted any more.
        clock: seconds.

    Raises:
        InputError: the stream broke off and was not found again.
        UsageError: a start.
    """
    begun, offset, last, resumed = clock(), 0.0, 0.0, False
    while True:
        broken: InputError | None = None
        try:
            for frame in stream.frames(start):
                last = frame.time + offset
                if end is not None and last >= end:
                    return
                yield replace(frame, time=last, resumed=resumed)
                resumed = False
        except InputError as error:
            broken = error
        if not patience:
            if broken is not None:
                raise broken
            return
        reason = str(broken) if broken is not None else f"{stream.name}: ended"
        _LOG.warning("%s; looking for it again for up to %g s", reason, patience)
        found = _sought(stream, patience, wait, clock)
        if found == "unwanted":
            return
        if found == "lost":
            raise InputError(
                f"{stream.name}: broke off, and was not found again within {patience:g} s"
            ) from broken
        offset, resumed = max(clock() - begun, last + _STEP), True
        _LOG.warning("%s: found again", stream.name)


def _sought(
    stream: Stream,
    patience: float,
    wait: Callable[[float], bool],
    clock: Callable[[], float],
) -> Literal["found", "lost", "unwanted"]:
    """Try to connect after 1, 2, 4, ... seconds, at most 30, until the patience is over."""
    until, delay = clock() + patience, _FIRST_WAIT
    while (left := until - clock()) > 0:
        if wait(min(delay, left)):
            return "unwanted"
        try:
            stream.reopen()
        except InputError:
            delay = min(2 * delay, _LONGEST_WAIT)
        else:
            return "found"
    return "lost"
