"""Writes a video again with the faces marked; its sound is copied as it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint import settings
from faceprint._files import replacing
from faceprint._optional import require
from faceprint.errors import InputError, UsageError
from faceprint.types import Face, Image
from faceprint.video.address import Address, locate
from faceprint.video.marks import mark
from faceprint.video.options import VideoOptions
from faceprint.video.source import Video
from faceprint.video.track import Track

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["check_target", "write_annotated"]

_LOG = logging.getLogger("faceprint.video")
_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_CLOCK = Fraction(1, 60_000)
"""MPEG-4 allows no finer clock than 1/65,535 s; here 24, 25, 29.97 and 30 a second are exact."""

_MPEG4_BITS = 0.2
"""Bits per pixel of MPEG-4, enough for its blocks not to show."""

_BT709 = 1
_DEFAULTS = VideoOptions()


def check_target(source: str | os.PathLike[str], target: Path) -> Address:
    """Whether a video can be written again there; the address of the source.

    Raises:
        UsageError: the source is no file, the target is the source, or of an unknown format.
        SourceNotFoundError: there is no such source.
    """
    address = locate(source)
    if not address.is_file:
        raise UsageError(f"{address.name}: only a file can be written again with its faces marked")
    if target.suffix.lower() not in _FORMATS:
        raise UsageError(f"{target}: the name of the video ends in one of {', '.join(_FORMATS)}")
    if target.exists() and target.samefile(address.url.removeprefix("file:")):
        raise UsageError(f"{target}: is the video itself; name another file")
    return address


def write_annotated(
    source: str | os.PathLike[str],
    target: Path,
    tracks: Sequence[Track],
    options: VideoOptions = _DEFAULTS,
    watch: Callable[[float], None] | None = None,
) -> None:
    """Write a video file with a box and a name at each face; only its owner may read it.

    The picture is encoded as H.264 where PyAV can, else as MPEG-4, with the times of its frames.
    Sound is copied without encoding it again; a warning names what the format can't hold.

    Args:
        source: the file that the tracks are of.
        target: a name that ends in .mp4, .m4v, .mov or .mkv.
        tracks: from `analyze_video`.
        options: `start` and `end` of the part.
        watch: called with the time of each frame written.

    Raises:
        UsageError: see `check_target`.
        InputError: the video can't be read.
        OSError: the file can't be written; nothing is left behind.
    """
    address = check_target(source, target)
    av: Any = require("av", extra="video")
    timeline = _Timeline(tracks)
    try:
        with (
            Video(source, timeout=options.timeout, warn=False) as video,
            _Sound(address, video, options) as sound,
            replacing(target, private=True) as temporary,
            av.open(str(temporary), "w", format=_FORMATS[target.suffix.lower()]) as container,
        ):
            writer = _Writer(av, container, video.rate)
            sound.begin(container, target)
            for frame in video.frames(options.start, options.end):
                marked = _marked(frame.image(), timeline.at(frame.time))
                writer.write(marked, frame.time - options.start)
                container.mux(list(sound.until(frame.time - options.start)))
                if watch is not None:
                    watch(frame.time)
            writer.finish()
            container.mux(list(sound.until(None)))
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        if isinstance(error, OSError):
            raise OSError(error.errno, reason, str(target)) from error
        raise InputError(f"{target}: can't be written: {reason}") from error


class _Timeline:
    """Which faces are where, for times that grow."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._coming = sorted(tracks, key=lambda track: -track.start)
        self._present: list[Track] = []

    def at(self, time: float) -> list[tuple[Track, Face]]:
        while self._coming and self._coming[-1].start <= time:
            self._present.append(self._coming.pop())
        self._present = [track for track in self._present if track.end >= time]
        boxes = [(track, track.box_at(time)) for track in self._present]
        return [(track, Face(box, 1.0, None)) for track, box in boxes if box is not None]


def _marked(image: Image, faces: Sequence[tuple[Track, Face]]) -> Image:
    """The frame with its faces marked, its sides cut to even numbers."""
    import PIL.Image

    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    if not faces:
        return even
    picture = PIL.Image.fromarray(even)
    mark(picture, [(face, track.subject or f"track {track.number}") for track, face in faces])
    return np.asarray(picture)


class _Writer:
    """Encodes the picture."""

    def __init__(self, av: Any, container: OutputContainer, rate: float) -> None:
        self._av, self._container = av, container
        h264 = "libx264" in av.codecs_available
        announced = Fraction(rate).limit_denominator(1001)
        stream: VideoStream = container.add_stream("libx264" if h264 else "mpeg4", rate=announced)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _CLOCK
        stream.codec_context.thread_count = settings.available_cores()
        stream.color_range, stream.colorspace = 1, _BT709
        stream.color_primaries = stream.color_trc = _BT709
        if h264:
            stream.options = {"preset": "veryfast", "crf": "20"}
        self._bits = 0.0 if h264 else _MPEG4_BITS * rate  # per pixel and second
        self._stream, self._size = stream, (0, 0)

    def write(self, image: Image, time: float) -> None:
        """Encode a frame; the first one gives the size of all."""
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        if not self._size[0]:
            self._size = self._stream.width, self._stream.height = frame.width, frame.height
            if self._bits:
                self._stream.bit_rate = round(self._bits * frame.width * frame.height)
        frame = frame.reformat(*self._size, format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = round(time / _CLOCK), _CLOCK
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode what the encoder still holds."""
        self._container.mux(self._stream.encode())


class _Sound:
    """The packets of a file's sound, read beside its picture."""

    def __init__(self, address: Address, video: Video, options: VideoOptions) -> None:
        self._av: Any = require("av", extra="video")
        self._name = video.name
        self._shift = video.origin + options.start
        self._length = None if options.end is None else options.end - options.start
        self._input: InputContainer = self._av.open(
            address.url, options=address.options, metadata_errors="replace"
        )
        self._outputs: dict[int, Any] = {}
        self._packets: Iterator[Packet[Any]] = iter(())
        self._next: Packet[Any] | None = None

    def __enter__(self) -> _Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()

    def begin(self, container: OutputContainer, target: Path) -> None:
        """Add the streams of sound that the format can hold, before anything is written."""
        for stream in self._input.streams.audio:
            try:
                self._outputs[stream.index] = container.add_stream_from_template(stream)
            except ValueError:
                codec = stream.codec_context.name if stream.codec_context else "unknown"
                _LOG.warning("%s: %s can't hold sound in %s", self._name, target.suffix, codec)
        if self._outputs:
            if self._shift > 0:
                self._input.seek(int(self._shift * self._av.time_base))
            chosen = [self._input.streams[index] for index in self._outputs]
            self._packets = self._input.demux(chosen)
            self._next = self._following()

    def until(self, time: float | None) -> Iterator[Packet[Any]]:
        """The packets up to so many seconds of the part; all that are left for None."""
        while self._next is not None:
            if time is not None and self._start(self._next) > time:
                return
            packet, self._next = self._next, self._following()
            yield self._moved(packet)

    def _following(self) -> Packet[Any] | None:
        """The next packet within the part; damaged ones end the sound."""
        try:
            for packet in self._packets:
                if packet.pts is None or packet.dts is None or not packet.size:
                    continue
                start = self._start(packet)
                if start >= 0 and (self._length is None or start < self._length):
                    return packet
        except self._av.FFmpegError:
            _LOG.warning("%s: the sound can't be read to its end", self._name)
        return None

    def _start(self, packet: Packet[Any]) -> float:
        """Seconds from the beginning of the part."""
        return float((packet.pts or 0) * packet.time_base) - self._shift

    def _moved(self, packet: Packet[Any]) -> Packet[Any]:
        shift = round(self._shift / packet.time_base)
        output = self._outputs[packet.stream.index]
        packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
        packet.stream = output
        return packet
