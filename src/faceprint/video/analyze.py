"""Finds, follows and names the faces of a video: `analyze_video`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from faceprint.errors import InputError
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.thresholds.default_threshold import search_points
from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.recognition.thresholds.operating_points import KnownPoints
from faceprint.types import Array, Face, OperatingPoint
from faceprint.video.frames import Frame
from faceprint.video.live import Newest
from faceprint.video.marks import LiveMarks, MarkedFrame
from faceprint.video.options import VideoOptions, VideoProgress
from faceprint.video.pace import Pace
from faceprint.video.reconnect import lasting_frames
from faceprint.video.records import TrackRecord
from faceprint.video.scene import CutDetector
from faceprint.video.source import Video
from faceprint.video.track import Track
from faceprint.video.track_rate import TrackRate, track_rate
from faceprint.video.tracker import Step, Tracker, TrackerOptions
from faceprint.vision.analyzer import FaceAnalyzer, load

__all__ = ["analyze_video"]


def analyze_video(
    source: str | os.PathLike[str],
    analyzer: FaceAnalyzer | None = None,
    gallery: Gallery | None = None,
    *,
    options: VideoOptions | None = None,
    progress: VideoProgress | None = None,
    look: Callable[[MarkedFrame], None] | None = None,
) -> Generator[Track, None, None]:
    """The faces of a video, each as a track; a track comes when it is over.

    Nothing is opened before the first track is asked for. Memory does not grow with the video,
    except by 24 bytes for each face found, which a track keeps as its path.

    Args:
        source: a file, a camera's number or device, or the address of a stream.
        analyzer: None for `load()`.
        gallery: who is looked for, once per track; None leaves tracks without a name.
        options: see `VideoOptions`.
        progress: updated with each frame; its `stop()` ends the analysis.
        look: called with each frame read and the faces in it, before the analysis goes on: for
            those who watch. Frames of a file come as late as the next analysis.

    Raises:
        InputError: the video can't be opened or a stream stalls; `Video` has the details.
        UsageError: a live stream and a start.
        MissingExtraError: PyAV is not installed.
    """
    analysis = _Analysis(
        load() if analyzer is None else analyzer,
        gallery,
        options or VideoOptions(),
        progress or VideoProgress(),
        look,
    )
    return analysis.tracks(source)


def _limits(known: KnownPoints) -> tuple[float | None, float | None]:
    """The similarities at which a face may be, and surely is, the person of a track.

    The loosest operating point, and the one at FMR 1e-3: a face is compared with the few tracks
    near it, so stricter points only break tracks. None where they are not two.
    """
    if len(known.points) < 2:
        return None, None
    loose, strict = known.points[0].threshold, known.choose().threshold
    return (loose, strict) if loose < strict else (None, None)


def _awaited(newest: Newest, pace: Pace) -> Iterator[Frame]:
    """The frames of a live stream. Another thread decodes them, so that here is only a wait."""
    while True:
        with pace.apart():
            frame = next(newest, None)
        if frame is None:
            return
        yield frame


class _Analysis:
    """One pass over one video."""

    def __init__(
        self,
        analyzer: FaceAnalyzer,
        gallery: Gallery | None,
        options: VideoOptions,
        progress: VideoProgress,
        look: Callable[[MarkedFrame], None] | None,
    ) -> None:
        self._analyzer, self._gallery = analyzer, gallery
        self._options, self._progress, self._look = options, progress, look
        self._least = usable_quality(analyzer.embedder_card, options.min_quality)
        self._comparable = usable_quality(analyzer.embedder_card)
        self._loose, strict = _limits(search_points(analyzer))
        self._tracker = Tracker(TrackerOptions(loose=self._loose, strict=strict))
        self._records: dict[int, TrackRecord] = {}
        self._point: OperatingPoint | None = None
        self._rate: TrackRate | None = None
        self._numbered = 0

    def tracks(self, source: str | os.PathLike[str]) -> Generator[Track, None, None]:
        """See `analyze_video`."""
        options, progress = self._options, self._progress
        with Video(source, timeout=options.timeout) as video:
            self._analyzer.open()
            if self._gallery is not None:
                self._point = options.point or self._gallery.operating_point()
                self._rate = track_rate(self._analyzer, self._point, options.min_quality)
            ends = [end for end in (video.duration, options.end) if end is not None]
            progress.duration = min(ends) if ends and not video.live else options.end
            if video.live:
                with closing(self._newest(video)) as newest:
                    yield from self._follow(newest, video, newest)
            else:
                with closing(video.frames(options.start, options.end)) as frames:
                    yield from self._follow(frames, video, None)

    def _newest(self, video: Video) -> Newest:
        """The newest frames of a live stream, which is sought again where it breaks off."""
        options, closed = self._options, threading.Event()
        frames = lasting_frames(
            video,
            start=options.start,
            end=options.end,
            patience=options.reconnect,
            wait=closed.wait,
        )
        return Newest(frames, closed, lambda: self._progress.stopped)

    def _follow(
        self, frames: Iterable[Frame], video: Video, newest: Newest | None
    ) -> Iterator[Track]:
        pace, cuts = Pace(self._options.every, video.rate), CutDetector()
        marks = LiveMarks(self._look, video.live)
        try:
            for frame in frames if newest is None else _awaited(newest, pace):
                dropped = self._note(frame, video, newest)
                due, cut = pace.due(dropped), cuts.is_cut(frame.thumbnail()) or frame.resumed
                if cut:
                    with pace.apart():
                        marks.cut()
                    yield from self._finished(self._tracker.cut())
                if due or cut:
                    with pace.analysis():
                        step = self._analyze(frame)
                        names = self._names(step)
                    yield from self._finished(step)
                    boxes = [self._records[int(key)].box for key in step.keys]
                    with pace.apart():
                        marks.analyzed(frame, step, boxes, names)
                else:
                    with pace.apart():
                        marks.passed(frame)
                if self._progress.stopped:
                    break
        except InputError:
            # A stream that breaks off: what was seen before comes first.
            yield from self._finished(self._tracker.cut())
            raise
        marks.cut()
        yield from self._finished(self._tracker.cut())

    def _note(self, frame: Frame, video: Video, newest: Newest | None) -> int:
        """Tell the progress; the number of frames dropped since the last one."""
        progress, before = self._progress, self._progress.dropped
        progress.position = frame.time
        progress.frames += 1
        progress.damaged = video.damaged
        progress.dropped = 0 if newest is None else newest.dropped
        return progress.dropped - before

    def _analyze(self, frame: Frame) -> Step:
        """Find the faces of a frame, and note them in their tracks."""
        image = frame.image()
        faces = self._analyzer.analyze(image)
        boxes = np.asarray([face.box for face in faces], np.float32).reshape(-1, 4)
        step = self._tracker.update(frame.time, boxes, self._embeddings(faces))
        for key, face in zip(step.keys, faces, strict=True):
            record = self._records.get(int(key))
            if record is None:
                record = self._records[int(key)] = TrackRecord(self._options.crops)
            record.add(frame.time, face, image)
        self._progress.analyzed += 1
        if self._progress.watch is not None:
            self._progress.watch(self._progress)
        return step

    def _names(self, step: Step) -> list[str]:
        """Whom the gallery names so far, for each face of a frame; sought only for a viewer."""
        if self._look is None or self._gallery is None or self._point is None:
            return [""] * len(step.keys)
        limits = self._least, self._loose
        records = [self._records[int(key)] for key in step.keys]
        return [each.name_so_far(*limits, self._gallery, self._point) for each in records]

    def _embeddings(self, faces: list[Face]) -> Array:
        """(n, d) the embeddings; NaN for faces that are too poor to be compared."""
        rows = np.full((len(faces), self._analyzer.embedder_card.dim or 1), np.nan, np.float32)
        for row, face in zip(rows, faces, strict=True):
            if face.embedding is not None and not objection(face.quality, self._comparable):
                row[:] = face.embedding.vector
        return rows

    def _finished(self, step: Step) -> Iterator[Track]:
        for key in step.dropped:
            del self._records[key]
        for key in step.ended:
            record = self._records.pop(key)
            self._numbered += 1
            track = record.track(
                self._numbered,
                self._least,
                self._loose,
                self._gallery,
                self._point,
                self._options.top,
            )
            yield replace(track, rate=self._rate)
