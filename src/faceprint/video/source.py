"""Opens videos by PyAV and gives their frames: upright, with times, and with errors in words."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Self

from faceprint._optional import require
from faceprint.errors import DecodeError, ImageTooLargeError, InputError, UsageError
from faceprint.video.address import Address, locate
from faceprint.video.frames import Frame
from faceprint.vision.limits import default_limits

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["DEFAULT_TIMEOUT", "Video"]

DEFAULT_TIMEOUT = 10.0
"""Seconds without data after which a stream counts as stalled."""

_LOG = logging.getLogger("faceprint.video")
_TEXT_FORMATS = ("tty", "concat", "hls", "dash", "sdp")
"""Formats of files that are text to FFmpeg: drawn letter by letter, or leading to other files."""

_MISSING_END = 1.0
"""Seconds by which a file may be shorter than its header says."""

_USUAL_RATE = 25.0
_STEP = 1e-3
"""Seconds between two frames whose times do not grow."""


class Video:
    """An open video. A context manager; `frames` can be read once.

    Attributes:
        name: for messages.
        live: whether frames that nobody takes are lost: a camera, or a stream without an end.
        rate: frames per second, on average or as announced.
        duration: seconds; None if unknown.
        damaged: number of packets so far that could not be decoded.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        warn: bool = True,
    ) -> None:
        """Open a video.

        Args:
            source: a file, a camera or an address (`address.locate`).
            timeout: seconds without data after which a stream counts as stalled.
            warn: log a warning if the file is damaged or shorter than it says.

        Raises:
            SourceNotFoundError: no such file or camera.
            DecodeError: not a video, or it has no video track.
            ImageTooLargeError: its frames have too many pixels.
            InputError: a stream that gives no answer.
            UsageError: an address of an unknown kind, or a timeout that is not positive.
            MissingExtraError: PyAV is not installed.
        """
        if not (math.isfinite(timeout) and timeout > 0):
            raise UsageError(f"timeout is {timeout}, not a positive number of seconds")
        self._av: Any = require("av", extra="video")
        self._address, self._timeout, self._warn = locate(source), timeout, warn
        self.name = self._address.name
        self.damaged = 0
        self._container = self._open(self._address)
        try:
            self._stream = self._choose_stream()
            self._check_size(self._stream.width, self._stream.height)
        except BaseException:
            self._container.close()
            raise
        self.rate = _rate(self._stream)
        self.duration: float | None = self._duration()
        self.live = self._address.live or (self.duration is None and not self._address.is_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file or the connection."""
        self._container.close()

    @property
    def origin(self) -> float:
        """The time that the file itself gives to its first frame, in seconds."""
        return self._origin() or 0.0

    def frames(self, start: float = 0.0, end: float | None = None) -> Generator[Frame, None, None]:
        """The frames from `start` up to before `end`, both in seconds, in the order shown.

        A file that ends early gives the frames that are there; one warning is logged.

        Raises:
            InputError: the stream gave nothing for as long as the timeout.
            DecodeError: it can't be decoded at all.
            UsageError: a live stream and a start, or a start after the end of the video.
        """
        given, time = 0, 0.0
        for frame in self._from(start):
            time = frame.time
            if end is not None and time >= end:
                return
            if time >= start - _STEP:
                given += 1
                yield frame
        if given:
            self._warn_if_short(time + 1 / self.rate)
        elif start > 0:
            raise UsageError(f"{self.name}: has no frame at {start:g} s or after")
        else:
            raise DecodeError(f"{self.name}: none of its frames can be decoded")

    def _from(self, start: float) -> Iterator[Frame]:
        """The frames from the last key frame up to `start`, or from one before that."""
        packets = self._container.demux(self._stream)
        if start <= 0:
            yield from self._timed(packets)
            return
        if self.live:
            raise UsageError(f"{self.name}: a live stream can't be started at another time")
        self._seek(start)
        found = self._timed(packets)
        first = next(found, None)
        if first is not None and first.time <= start + 1 / self.rate:
            yield first
            yield from found
            return
        # Some formats find no key frame before the time: read on from the beginning.
        self.reopen()
        yield from self._timed(self._container.demux(self._stream))

    def reopen(self) -> None:
        """Open it once more, from its beginning; raises what opening it the first time raises."""
        self._container.close()
        self._container = self._open(self._address)
        self._stream = self._choose_stream()

    def _timed(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[Frame]:
        """Frames with times that start at 0 and grow, whatever the file says."""
        origin, before = self._origin(), -math.inf
        for raw in self._decoded(packets):
            if raw.pts is None or self._stream.time_base is None:
                time = max(before + 1 / self.rate, 0.0)
            else:
                stamp = float(raw.pts * self._stream.time_base)
                origin = stamp if origin is None else origin
                time = max(stamp - origin, before + _STEP)
            before = time
            aspect = self._stream.sample_aspect_ratio
            yield Frame(time, raw, float(aspect) if aspect else 1.0)

    def _seek(self, time: float) -> None:
        base = self._stream.time_base
        try:
            if base is None:
                self._container.seek(int(time * self._av.time_base))
            else:
                stamp = int((time + self.origin) / base)
                self._container.seek(stamp, stream=self._stream)
        except self._av.FFmpegError as error:
            raise self._explained(error) from error

    def _open(self, address: Address) -> InputContainer:
        av = self._av
        try:
            container: InputContainer = av.open(
                address.url,
                format=address.format,
                options=address.options,
                timeout=self._timeout,
                metadata_errors="replace",
            )
        except av.FFmpegError as error:
            raise self._explained(error, opening=True) from error
        kind = container.format.name
        what = ""
        if kind.endswith("_pipe"):
            what = "a photograph"
        elif kind == "image2":
            what = "a photograph by its name"  # FFmpeg has not looked into it
        elif address.is_file and kind in _TEXT_FORMATS:
            what = "a text file"
        if what:
            container.close()
            raise DecodeError(f"{self.name}: {what}, not a video")
        return container

    def _choose_stream(self) -> VideoStream:
        disposition = self._av.stream.Disposition
        found = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & disposition.attached_pic  # the cover of a record
        ]
        if not found:
            kinds = sorted({stream.type for stream in self._container.streams})
            rest = f"; it holds {', '.join(kinds)}" if kinds else ""
            raise DecodeError(f"{self.name}: has no video track{rest}")
        known = [stream for stream in found if stream.codec_context is not None]
        if not known:
            raise DecodeError(f"{self.name}: FFmpeg does not know how its picture is encoded")
        return max(known, key=lambda stream: stream.width * stream.height)

    def _check_size(self, width: int, height: int) -> None:
        limit = default_limits().max_pixels
        if width * height > limit:
            raise ImageTooLargeError(
                f"{self.name}: frames of {width} x {height} pixels; the limit is {limit:,} in all "
                "(FACEPRINT_MAX_PIXELS raises it)"
            )

    def _decoded(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[Any]:
        """Decode packet by packet; those that can't be decoded are counted and left out."""
        av = self._av
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                if not isinstance(error, av.InvalidDataError):
                    raise self._explained(error) from error
                self.damaged += 1
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                self.damaged += 1
                continue
            except av.FFmpegError as error:
                raise self._explained(error) from error
            for frame in frames:
                self._check_size(frame.width, frame.height)
                yield frame

    def _origin(self) -> float | None:
        """The stream's time of the first frame; None where only the frame says so."""
        first = self._stream.start_time
        if first is None or self._stream.time_base is None or self._address.live:
            return None
        return float(first * self._stream.time_base)

    def _duration(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        if container.duration is None or self._address.live:
            return None
        return float(container.duration / self._av.time_base)

    def _warn_if_short(self, end: float) -> None:
        expected = self.duration
        if self.live or expected is None or not self._warn:
            return
        if end < expected - _MISSING_END or (self.damaged and end < expected - 2 / self.rate):
            _LOG.warning(
                "%s: ends at %.1f s, although its header says %.1f s: cut off, or damaged",
                self.name,
                max(end, 0.0),
                expected,
            )
        elif self.damaged:
            _LOG.warning("%s: %d of its packets could not be decoded", self.name, self.damaged)

    def _explained(self, error: Exception, *, opening: bool = False) -> InputError:
        """FFmpeg's error as one of faceprint's."""
        av, name = self._av, self.name
        if isinstance(error, av.error.ExitError | av.error.TimeoutError):
            return InputError(f"{name}: gave no data for {self._timeout:g} s")
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, av.InvalidDataError) and opening and self._address.is_file:
            return DecodeError(f"{name}: not a video, or one whose end with the index is missing")
        if isinstance(error, OSError):
            return InputError(f"{name}: {reason}")
        return DecodeError(f"{name}: {reason}")


def _rate(stream: VideoStream) -> float:
    for value in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if value and 0.001 <= value <= 1000:
            return float(value)
    return _USUAL_RATE
