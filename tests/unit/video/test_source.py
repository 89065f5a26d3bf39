from __future__ import annotations

import http.server
import logging
import sys
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from video_clips import clip, scene, write, write_audio

from faceprint.errors import (
    DecodeError,
    ImageTooLargeError,
    InputError,
    MissingExtraError,
    UsageError,
)
from faceprint.video.source import Video


def pan(path: Path, **how: object) -> Path:
    made = clip("pan")
    return write(path, made.frames, made.times, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_frames_and_their_times(tmp_path: Path, suffix: str) -> None:
    made = clip("pan")
    with Video(pan(tmp_path / f"pan.{suffix}")) as video:
        assert video.rate == pytest.approx(25) and not video.live
        assert video.duration == pytest.approx(2.4, abs=0.05)
        frames = list(video.frames())
    assert [frame.time for frame in frames] == pytest.approx(made.times, abs=0.002)
    for number in (0, 30, 59):
        shown = frames[number].image()
        assert shown.shape == (240, 320, 3) and shown.dtype == np.uint8
        assert np.abs(shown.astype(int) - made.frames[number]).mean() < 4
    assert frames[0].thumbnail().shape == (18, 32)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_seeking_gives_the_same_frames_as_reading_on(tmp_path: Path, suffix: str) -> None:
    path = pan(tmp_path / f"pan.{suffix}")
    with Video(path) as video:
        whole = {frame.time: frame.image() for frame in video.frames()}
    with Video(path) as video:
        part = {frame.time: frame.image() for frame in video.frames(1.5, 1.7)}
    assert sorted(part) == pytest.approx([1.52, 1.56, 1.6, 1.64, 1.68])
    for time, image in part.items():
        np.testing.assert_array_equal(image, whole[time])


def test_a_video_can_be_opened_again(tmp_path: Path) -> None:
    with Video(pan(tmp_path / "pan.ts")) as video:
        first = [frame.time for frame in video.frames()]
        video.reopen()
        assert [frame.time for frame in video.frames()] == first
        (tmp_path / "pan.ts").unlink()
        with pytest.raises(InputError):
            video.reopen()


def test_a_start_after_the_end_is_wrong_usage(tmp_path: Path) -> None:
    with Video(pan(tmp_path / "pan.mp4")) as video, pytest.raises(UsageError, match="no frame at"):
        list(video.frames(60.0))


def test_variable_frame_rate(tmp_path: Path) -> None:
    made = clip("variable")
    with Video(write(tmp_path / "v.mp4", made.frames, made.times)) as video:
        times = [frame.time for frame in video.frames()]
    assert times == pytest.approx(made.times, abs=0.002)
    assert len(set(np.diff(times).round(3))) > 2


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_a_telephone_held_upright(tmp_path: Path, degrees: int) -> None:
    """The frames were turned before they were stored, and the file says how to turn them back."""
    upright = clip("pan").frames[:3]
    sensor = [np.rot90(frame, -degrees // 90) for frame in upright]
    if degrees % 180:
        sensor = [np.resize(frame, (240, 320, 3)) for frame in sensor]
        upright = [np.rot90(frame, degrees // 90) for frame in sensor]
    path = write(tmp_path / "turned.mp4", sensor, clip("pan").times[:3], rotation=degrees)
    with Video(path) as video:
        shown = [frame.image() for frame in video.frames()]
    for image, expected in zip(shown, upright, strict=True):
        assert image.shape == expected.shape and image.flags.c_contiguous
        assert np.abs(image.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("rotation", [None, 90])
def test_a_frame_goes_when_nobody_holds_it(tmp_path: Path, rotation: int | None) -> None:
    """Python's garbage collector may come hundreds of frames later."""
    made = clip("pan")
    with Video(write(tmp_path / "v.mp4", made.frames[:2], made.times[:2], rotation=rotation)) as v:
        for frame in v.frames():
            before = sys.getrefcount(frame.raw)
            frame.image()
            frame.thumbnail()
            after = sys.getrefcount(frame.raw)
            assert after == before


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_truncated_file_gives_what_is_there_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    path = pan(
        tmp_path / f"pan.{suffix}", options={"movflags": "faststart"} if suffix == "mp4" else {}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING), Video(path) as video:
        times = [frame.time for frame in video.frames()]
    assert 5 < len(times) < 50 and times == pytest.approx(
        clip("pan").times[: len(times)], abs=0.002
    )
    assert [record.name for record in caplog.records] == ["faceprint.video"]
    assert "although its header says 2.4 s" in caplog.text


def test_damage_in_the_middle_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = pan(tmp_path / "pan.ts")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    with Video(path) as video:
        times = [frame.time for frame in video.frames()]
    assert 40 < len(times) <= 60 and times == sorted(set(times))


def test_a_video_whose_index_is_missing(tmp_path: Path) -> None:
    path = pan(tmp_path / "pan.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DecodeError, match="end with the index is missing"):
        Video(path)


def test_what_is_not_a_video(tmp_path: Path) -> None:
    samples = Path(str(resources.files("faceprint") / "samples"))
    cases = {
        "empty.mp4": (b"", "not a video"),
        "noise.mp4": (np.random.default_rng(0).bytes(5000), "not a video"),
        "letter.txt": (b"Dear Ada,\n" * 100, "not a video"),
        "list.m3u8": (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "text file|not a video"),
        "a.jpg": ((samples / "obama.jpg").read_bytes(), "a photograph by its name, not a video"),
        "letter.jpg": (b"Dear Ada,\n" * 100, "a photograph by its name, not a video"),
        "a.mp4": ((samples / "obama.jpg").read_bytes(), "a photograph, not a video"),
    }
    for name, (data, words) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(DecodeError, match=words):
            Video(path)


def test_a_picture_in_an_unknown_encoding(tmp_path: Path) -> None:
    path = pan(tmp_path / "pan.mp4")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"avc1", b"zzzz").replace(b"mp4v", b"zzzz"))
    with pytest.raises(DecodeError, match="does not know how its picture is encoded"):
        Video(path)


def test_sound_without_a_picture(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="no video track; it holds audio"):
        Video(write_audio(tmp_path / "a.m4a"))


def test_one_frame(tmp_path: Path) -> None:
    with Video(write(tmp_path / "one.mp4", clip("pan").frames[:1], [0.0])) as video:
        assert [frame.time for frame in video.frames()] == [0.0]


def test_a_still_of_ten_hours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    still, _ = scene([("obama", 160, 120)])
    path = write(tmp_path / "still.mp4", [still] * 3, [0.0, 18_000.0, 36_000.0])
    with caplog.at_level(logging.WARNING), Video(path) as video:
        assert [frame.time for frame in video.frames()] == [0.0, 18_000.0, 36_000.0]
    assert not caplog.records


def test_frames_above_the_limit_on_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pan(tmp_path / "pan.mp4")
    monkeypatch.setenv("FACEPRINT_MAX_PIXELS", "70000")
    with pytest.raises(ImageTooLargeError, match="320 x 240"):
        Video(path)


def test_a_timeout_is_positive(tmp_path: Path) -> None:
    for timeout in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="positive number of seconds"):
            Video(tmp_path, timeout=timeout)


class Half(http.server.BaseHTTPRequestHandler):
    """Sends the half of a video, and then nothing until the test is over."""

    data = b""
    over = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        self.wfile.write(self.data[: len(self.data) // 2])
        self.over.wait(60)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stalling(tmp_path: Path) -> Iterator[str]:
    Half.data = pan(tmp_path / "pan.ts").read_bytes()
    Half.over.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Half)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/live.ts"
    Half.over.set()
    server.shutdown()
    server.server_close()


def test_a_stream_that_stalls_ends_with_words(stalling: str) -> None:
    with (
        pytest.raises(InputError, match=r"gave no data for 0\.5 s"),
        Video(stalling, timeout=0.5) as video,
    ):
        list(video.frames())


def test_an_address_that_nobody_answers() -> None:
    with pytest.raises(InputError, match="Connection refused"):
        Video("http://127.0.0.1:9/a.mp4", timeout=2)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"faceprint\[video\]"):
        Video(tmp_path)
