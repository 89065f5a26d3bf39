"""`faceprint video`: the faces of a video over time, and who they are."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.gallery_options import (
    KeyFile,
    announced,
    load_for,
    require_gallery,
    threshold_words,
)
from faceprint.cli.output import note
from faceprint.cli.video_report import PeopleReport, TrackReport, check_people
from faceprint.cli.video_run import VideoRun
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.recognition.gallery.gallery import Gallery
    from faceprint.video.options import VideoOptions
    from faceprint.video.track import Track
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["video"]


@options.with_model_options(*options.MODELS)
def video(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|CAMERA|URL...",
            help="Files; a camera, as 0 (Linux); or rtsp://..., http://...",
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
    people: Annotated[
        Path | None,
        typer.Option(
            "--people",
            metavar="DIR",
            help="Put the tracks of all videos together into people: a new folder per person.",
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--show", help="Show the marked frames in a window meanwhile; q ends the run."
        ),
    ] = False,
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
    they resemble the others too little), quality (of the best face), fpir_asked (the rate that the
    threshold was chosen for), fpir_per ("track"), templates (the size of the gallery that it was
    chosen for), measured_on[] (the error rates of tracks measured with these models at that rate;
    empty if nobody measured them), source, picture (with --faces). With --people, one line per
    person at the end: person, subject, folder, tracks[]: source, track, start, end. Several videos
    are read one after the other. Exit code 3: one of them could not be read, or broke off.
    """
    from faceprint.video.options import VideoOptions
    from faceprint.video.track_rate import track_rate
    from faceprint.video.window import TkWindow

    if gallery is None and not (fpir is None and threshold is None and key_file is None):
        raise UsageError("--fpir, --threshold and --key-file are for a search: give --gallery")
    chosen = VideoOptions(
        start=seconds(start),
        end=None if end is None else seconds(end),
        every=every,
        top=top,
        min_quality=min_quality,
        crops=not (faces is None and people is None),
        timeout=timeout,
        reconnect=reconnect,
    )
    _check_outputs(sources, out, people)
    report = TrackReport(as_json, faces, len(sources) > 1)
    gathered = None if people is None else PeopleReport(people)
    with ExitStack() as stack:
        window = stack.enter_context(closing(TkWindow())) if show else None
        run = VideoRun(report, gathered, window, keep=out is not None)
        fp = models.load() if gallery is None else load_for(gallery, models)
        opened = None
        if gallery is not None:
            opened = stack.enter_context(_open(gallery, fp, key_file))
            point = opened.operating_point(fpir=fpir, threshold=threshold)
            rate = track_rate(fp, point, min_quality)
            note(f"{threshold_words(point)}; a track is one trial; {rate.words}: docs/video.md")
            chosen = replace(chosen, point=point)
        for source in sources:
            run.follow(source, fp, opened, chosen)
    if out is not None and run.failed is None:
        _write(sources[0], out, run.marked, run.analyzed_part(chosen))
    if run.people is not None:
        run.people.finish(fp, as_json=as_json)
    if run.failed is not None:
        if len(sources) == 1:
            raise run.failed
        return INPUT
    return DONE if (run.count if gallery is None else run.recognized) else NO


def _check_outputs(sources: list[str], out: Path | None, people: Path | None) -> None:
    """Refuse outputs that can't be written, before anything is analyzed."""
    from faceprint.video.annotate import check_target

    if out is not None:
        if len(sources) > 1:
            raise UsageError("--out is for one video")
        check_target(sources[0], out)
    if people is not None:
        check_people(people)


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

    require_gallery(location)
    key = None if key_file is None else read_key_file(key_file)
    return announced(Gallery.open(location, fp, key=key))


def _write(source: str, out: Path, tracks: list[Track], chosen: VideoOptions) -> None:
    from faceprint.video.annotate import write_annotated

    write_annotated(source, out, tracks, chosen)
    note(f"written: {out}")
