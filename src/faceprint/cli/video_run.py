"""How `faceprint video` goes through its videos: tracks to the reports, frames to the window."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from faceprint._text import counted
from faceprint.cli.output import note
from faceprint.cli.progress import progress
from faceprint.cli.video_report import PeopleReport, TrackReport
from faceprint.errors import InputError

if TYPE_CHECKING:
    from faceprint.recognition.gallery.gallery import Gallery
    from faceprint.video.marks import MarkedFrame
    from faceprint.video.options import VideoOptions, VideoProgress
    from faceprint.video.track import Track
    from faceprint.video.window import Window
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["VideoRun"]


class VideoRun:
    """What is done with the tracks of all videos.

    Args:
        report: prints them.
        people: puts them together at the end; None for not.
        window: shows the frames; None for not. When the user closes it, the run ends.
        keep: keep the tracks in `marked`.

    Attributes:
        marked: the tracks for `--out`.
        count, recognized: number of tracks, and of those with a name.
        failed: why a video could not be read to its end.
    """

    def __init__(
        self,
        report: TrackReport,
        people: PeopleReport | None,
        window: Window | None = None,
        *,
        keep: bool,
    ) -> None:
        self._report, self.people, self._keep = report, people, keep
        self._window = window
        self._ended: float | None = None  # where the user ended it, in seconds of the video
        self.marked: list[Track] = []
        self.count = self.recognized = 0
        self.failed: InputError | None = None

    def follow(
        self, source: str, fp: FaceAnalyzer, gallery: Gallery | None, chosen: VideoOptions
    ) -> None:
        """Print the tracks of one video; an error is noted, and the others go on.

        Does nothing once the user has closed the window.
        """
        if self._ended is not None:
            return
        try:
            for track in self._tracks(source, fp, gallery, chosen):
                self.count += 1
                self.recognized += track.subject is not None
                self._report.show(track, source)
                if self.people is not None:
                    self.people.add(track, source)
                if self._keep:
                    self.marked.append(replace(track, faces=(), crop=None))
        except InputError as error:
            self.failed = error
            if self._report.several:
                note(f"faceprint: {error}")

    def analyzed_part(self, chosen: VideoOptions) -> VideoOptions:
        """The options, with the end of the part that was analyzed."""
        return chosen if self._ended is None else replace(chosen, end=self._ended)

    def _tracks(
        self, source: str, fp: FaceAnalyzer, gallery: Gallery | None, chosen: VideoOptions
    ) -> Iterator[Track]:
        """The tracks, with progress on stderr and a summary.

        Ctrl-C ends a live stream in order, not a file; the window ends both.
        """
        from faceprint.video.address import locate
        from faceprint.video.analyze import analyze_video
        from faceprint.video.options import VideoProgress
        from faceprint.video.watching import watched_tracks

        show = progress("seconds of video")
        state = VideoProgress(lambda now: _show(show, now, chosen.start))
        address, window = locate(source), self._window

        def analysis(look: Callable[[MarkedFrame], None] | None) -> Iterator[Track]:
            return analyze_video(source, fp, gallery, options=chosen, progress=state, look=look)

        if address.live:
            note(f"watching {address.name}; Ctrl-C ends it")
        with _stopping(state) if address.live else nullcontext():
            if window is None:
                yield from analysis(None)
            else:
                window.title(address.name)
                try:
                    with closing(watched_tracks(analysis, window, state.stop)) as tracks:
                        yield from tracks
                finally:
                    if window.closed:
                        self._ended = math.nextafter(max(state.position, chosen.start), math.inf)
        note(", ".join(_summary(state)))


def _summary(state: VideoProgress) -> list[str]:
    words = [counted(state.frames, "frame", "frames"), f"{state.analyzed:,} of them analyzed"]
    if state.dropped:
        words.append(f"{state.dropped:,} dropped, as others took too long")
    if state.damaged:
        words.append(f"{counted(state.damaged, 'damaged packet', 'damaged packets')} left out")
    return words


def _show(show: Callable[[int, int], None], now: VideoProgress, start: float) -> None:
    """A line of progress where the length is known, and never below a line of the result."""
    if now.duration is None or (sys.stdout.isatty() and sys.stderr.isatty()):
        return
    total = math.ceil(now.duration - start)
    show(min(int(now.position - start), total - 1), total)


@contextmanager
def _stopping(state: VideoProgress) -> Iterator[None]:
    """Let Ctrl-C end a live stream in order: the tracks so far are printed."""
    before = signal.signal(signal.SIGINT, lambda *_: state.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
