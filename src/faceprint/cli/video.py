"""`faceprint video`: the faces of a video over time, and who they are."""

from __future__ import annotations

import math
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.gallery_options import (
    KeyFile,
    announced,
    gallery_exists,
    load_for,
    threshold_words,
)
from faceprint.cli.output import counted, note, print_json, say
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.recognition.gallery.gallery import Gallery
    from faceprint.video.options import VideoOptions, VideoProgress
    from faceprint.video.track import Track
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["video"]


@options.with_model_options(*options.MODELS)
def video(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|CAMERA|URL",
            help="A file; a camera, as 0 (Linux); or rtsp://..., http://...",
        ),
    ],
    gallery: Annotated[
        str | None,
        typer.Option("--gallery", metavar="GALLERY", help="Name the people of this gallery."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the video with its faces marked."),
    ] = None,
    faces: Annotated[
        Path | None,
        typer.Option("--faces", metavar="DIR", help="Write a picture of each track's best face."),
    ] = None,
    start: Annotated[
        str, typer.Option("--start", metavar="TIME", help="Begin there: 90, 1:30 or 1:02:03.")
    ] = "0",
    end: Annotated[
        str | None, typer.Option("--end", metavar="TIME", help="End there. [the end]")
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every",
            metavar="N",
            min=1,
            help="Look for faces in every n-th frame. [so that it keeps up with the video]",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Number of candidates.")] = 5,
    fpir: options.Fpir = None,
    threshold: options.Threshold = None,
    min_quality: options.MinQuality = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="S", help="Seconds without data that end a stream."),
    ] = 10.0,
    reconnect: Annotated[
        float,
        typer.Option(
            "--reconnect", metavar="S", help="Seconds for which a lost live stream is sought again."
        ),
    ] = 0.0,
    key_file: KeyFile = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Follow the faces of a video. Exit code 1: nobody was recognized; without --gallery, no face.

    JSON lines, one per track, when it is over: track, subject (null for a stranger or without
    --gallery), start and end in seconds, similarity, threshold, evidence, provisional, decidable
    (false if no face of the track is good enough; reason says why), candidates[], detections
    (analyzed frames with the face), faces (those that decide), rejected (good faces left out, since
    they resemble the others too little), quality (of the best face), picture (with --faces).
    """
    from faceprint.video.annotate import check_target
    from faceprint.video.options import VideoOptions

    if gallery is None and not (fpir is None and threshold is None and key_file is None):
        raise UsageError("--fpir, --threshold and --key-file are for a search: give --gallery")
    chosen = VideoOptions(
        start=seconds(start),
        end=None if end is None else seconds(end),
        every=every,
        top=top,
        min_quality=min_quality,
        crops=faces is not None,
        timeout=timeout,
        reconnect=reconnect,
    )
    if out is not None:
        check_target(source, out)
    fp = models.load() if gallery is None else load_for(gallery, models)
    marked: list[Track] = []
    count = recognized = 0
    with ExitStack() as stack:
        opened, point = None, None
        if gallery is not None:
            opened = stack.enter_context(_open(gallery, fp, key_file))
            point = opened.operating_point(fpir=fpir, threshold=threshold)
            note(f"{threshold_words(point)}; measured for single faces, not for tracks")
        for track in _tracks(source, fp, opened, replace(chosen, point=point)):
            count += 1
            recognized += track.subject is not None
            picture = None if faces is None else _save(track, faces)
            _print(track, picture, as_json=as_json, faces=faces is not None)
            if out is not None:
                marked.append(replace(track, faces=(), crop=None))
    if out is not None:
        _write(source, out, marked, chosen)
    return DONE if (count if gallery is None else recognized) else NO


def seconds(text: str) -> float:
    """Parse `90`, `1:30` or `1:02:03.5`.

    Raises:
        UsageError: none of these.
    """
    parts = text.strip().split(":")
    if not all(re.fullmatch(r"\d{1,9}", part) for part in parts[:-1]) or len(parts) > 3:
        raise UsageError(f"{text!r} is no time such as 90, 1:30 or 1:02:03")
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", parts[-1]):
        raise UsageError(f"{text!r} is no time such as 90, 1:30 or 1:02:03")
    total = 0.0
    for part in parts:
        total = total * 60 + float(part)
    return total


def _open(location: str, fp: FaceAnalyzer, key_file: Path | None) -> Gallery:
    from faceprint.recognition.gallery import Gallery
    from faceprint.recognition.gallery.crypto import read_key_file

    if not gallery_exists(location):
        raise UsageError(f"there is no gallery at {location}; create one with faceprint enroll")
    key = None if key_file is None else read_key_file(key_file)
    return announced(Gallery.open(location, fp, key=key))


def _tracks(
    source: str, fp: FaceAnalyzer, gallery: Gallery | None, chosen: VideoOptions
) -> Iterator[Track]:
    """The tracks, with progress on stderr and a summary; Ctrl-C ends a live stream, not a file."""
    from faceprint.video.address import locate
    from faceprint.video.analyze import analyze_video
    from faceprint.video.options import VideoProgress

    show = progress("seconds of video")
    state = VideoProgress(lambda now: _show(show, now, chosen.start))
    live = locate(source).live
    if live:
        note(f"watching {locate(source).name}; Ctrl-C ends it")
    with _stopping(state) if live else nullcontext():
        yield from analyze_video(source, fp, gallery, options=chosen, progress=state)
    words = [counted(state.frames, "frame", "frames"), f"{state.analyzed:,} of them analyzed"]
    if state.dropped:
        words.append(f"{state.dropped:,} dropped, as others took too long")
    if state.damaged:
        words.append(f"{counted(state.damaged, 'damaged packet', 'damaged packets')} left out")
    note(", ".join(words))


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


def _save(track: Track, folder: Path) -> Path | None:
    """Write the picture of a track's best face; its path, None if there is none."""
    from faceprint.vision.draw import save_png

    if track.crop is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"track-{track.number:04}.png"
    counter = 1
    while target.exists():
        counter += 1
        target = folder / f"track-{track.number:04}-{counter}.png"
    save_png(track.crop, target)
    return target


def _print(track: Track, picture: Path | None, *, as_json: bool, faces: bool) -> None:
    if as_json:
        line = track.to_dict()
        if faces:
            line["picture"] = None if picture is None else str(picture)
        print_json(line, stream=True)
        return
    where = "" if picture is None else f"  {picture}"
    say(f"track {track.number}: {_time(track.start)} to {_time(track.end)}: {_who(track)}{where}")


def _who(track: Track) -> str:
    if track.reason:
        return f"cannot decide: {track.reason}; --min-quality 0 decides anyway"
    if track.identification is None:
        return counted(len(track.times), "detection", "detections")
    if track.similarity is None:
        return "the gallery is empty"
    if track.subject is not None:
        return f"{track.subject} ({track.similarity:.3f})"
    closest = track.identification.candidates[0].subject
    return f"a stranger (closest: {closest}, {track.similarity:.3f})"


def _time(value: float) -> str:
    """Seconds as h:mm:ss.s, or m:ss.s below an hour."""
    tenths = round(value * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02}.{rest % 10}"


def _write(source: str, out: Path, tracks: list[Track], chosen: VideoOptions) -> None:
    from faceprint.video.annotate import write_annotated

    write_annotated(source, out, tracks, chosen)
    note(f"written: {out}")
