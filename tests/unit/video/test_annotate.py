from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_clips import RATE, av, clip, write

from faceprint.errors import UsageError
from faceprint.types import Identification, Match
from faceprint.video.annotate import write_annotated
from faceprint.video.options import VideoOptions
from faceprint.video.source import Video
from faceprint.video.track import Track

LINE = np.array([64, 224, 208])
"""The color of a box."""


def pan(path: Path, **how: Any) -> Path:
    made = clip("pan")
    return write(path, made.frames, made.times, **how)


def track(name: str | None = None, first: int = 10, last: int = 50) -> Track:
    """The true path of the pan's face, of every fifth frame."""
    numbers = range(first, last + 1, 5)
    boxes = [clip("pan").truth[number]["obama"] for number in numbers]
    answer = None
    if name is not None:
        answer = Identification((Match(name, "1", 0.99, 1),), 0.9)
    times = np.asarray(numbers, np.float64) / RATE
    return Track(1, times, np.asarray(boxes, np.float32), (), identification=answer)


def marked(image: np.ndarray, box: tuple[float, ...]) -> bool:
    """Whether the left side of this box is drawn."""
    x, top, bottom = round(box[0]), round(box[1]) + 20, round(box[3]) - 20
    near = image[top:bottom, max(0, x - 4) : x + 5].astype(int)
    distance = np.abs(near - LINE).mean(axis=2).min(axis=1)
    return float(np.median(distance)) < 40


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_boxes_are_drawn_while_the_track_lasts_and_in_between(tmp_path: Path, suffix: str) -> None:
    source, target = pan(tmp_path / "pan.mp4"), tmp_path / f"out.{suffix}"
    seen: list[float] = []
    write_annotated(source, target, [track("Ada")], watch=seen.append)
    with Video(target) as video:
        frames = list(video.frames())
    assert [frame.time for frame in frames] == pytest.approx(clip("pan").times, abs=0.002)
    assert seen == pytest.approx(clip("pan").times, abs=0.002)
    drawn = [
        number
        for number, frame in enumerate(frames)
        if marked(frame.image(), clip("pan").truth[number]["obama"])
    ]
    assert drawn == list(range(10, 51))
    assert target.stat().st_mode & 0o777 == 0o600, "it shows faces"


def test_the_sound_is_copied_byte_by_byte(tmp_path: Path) -> None:
    source, target = pan(tmp_path / "pan.mp4", audio=True), tmp_path / "out.mp4"
    write_annotated(source, target, [track()])
    before, after = sound(source), sound(target)
    assert len(after) >= len(before) - 2, "all but what lies before the first frame"
    assert after == before[-len(after) :]


def test_a_part_begins_at_its_start(tmp_path: Path) -> None:
    source, target = pan(tmp_path / "pan.mp4", audio=True), tmp_path / "out.mp4"
    write_annotated(source, target, [track()], VideoOptions(start=0.8, end=1.6))
    with Video(target) as video:
        frames = list(video.frames())
    assert [frame.time for frame in frames] == pytest.approx(np.arange(20) / RATE, abs=0.002)
    assert marked(frames[0].image(), clip("pan").truth[20]["obama"])
    heard = sound(target)
    assert 0 < len(heard) * 1024 / 16000 <= 0.8 + 0.07
    assert heard[0] in sound(source)


def test_variable_frame_rate_and_a_turned_picture_are_kept(tmp_path: Path) -> None:
    made = clip("variable")
    source = write(tmp_path / "v.mp4", made.frames[:12], made.times[:12], rotation=90)
    write_annotated(source, tmp_path / "out.mp4", [])
    with Video(tmp_path / "out.mp4") as video:
        frames = list(video.frames())
    assert [frame.time for frame in frames] == pytest.approx(made.times[:12], abs=0.002)
    upright = np.rot90(made.frames[5])
    assert frames[5].image().shape == upright.shape == (320, 240, 3)
    assert np.abs(frames[5].image().astype(int) - upright).mean() < 8


def test_sound_that_the_format_cannot_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "pan.avi"
    made = clip("pan")
    with av.open(str(source), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = container.add_stream("pcm_mulaw", rate=8000, layout="mono")
        for image in made.frames[:5]:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    with caplog.at_level(logging.WARNING):
        write_annotated(source, tmp_path / "out.mp4", [])
    assert "can't hold sound in pcm_mulaw" in caplog.text
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_without_an_encoder_of_h264_it_is_mpeg4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pan(tmp_path / "pan.mp4"), tmp_path / "out.mp4"
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    write_annotated(source, target, [track()])
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    with Video(target) as video:
        times = [frame.time for frame in video.frames()]
    assert times == pytest.approx(clip("pan").times, abs=0.002)


def test_titles_that_are_no_text(tmp_path: Path) -> None:
    source = pan(tmp_path / "pan.mp4", audio=True)
    data = source.read_bytes()
    assert b"Lavf" in data
    source.write_bytes(data.replace(b"Lavf", b"\xb5\xff\xb5\xff"))
    write_annotated(source, tmp_path / "out.mp4", [])
    assert len(sound(tmp_path / "out.mp4")) > 30


def test_what_cannot_be_written(tmp_path: Path) -> None:
    source = pan(tmp_path / "pan.mp4")
    with pytest.raises(UsageError, match="only a file"):
        write_annotated("rtsp://127.0.0.1/", tmp_path / "out.mp4", [])
    with pytest.raises(UsageError, match=r"ends in one of \.mp4"):
        write_annotated(source, tmp_path / "out.gif", [])
    with pytest.raises(UsageError, match="is the video itself"):
        write_annotated(source, source, [])
    with pytest.raises(FileNotFoundError):
        write_annotated(source, tmp_path / "none" / "out.mp4", [])
    assert [path.name for path in tmp_path.iterdir()] == ["pan.mp4"]
