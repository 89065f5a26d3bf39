"""`faceprint video` from end to end: what it prints, what it writes, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from video_clips import RATE, av, clip, scene, write, write_audio

from faceprint.vision import images

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
FAST = ("--every", 3, "--threads", 1)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = clip("crossing")
    path = tmp_path_factory.mktemp("clips") / "crossing.mp4"
    return write(path, made.frames[:45], made.times[:45], audio=True)


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "wall.mp4"
    return write(path, [scene([])[0]] * 10, np.arange(10) / RATE)


def test_people_are_named(cli: CommandLine, crossing: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "people.db"
    cli("enroll", gallery, "Barack Obama", SAMPLES / "obama2.jpg", "--threads", 1)
    done = cli("video", crossing, "--gallery", gallery, "--json", *FAST)
    keys = ["track", "subject", "start", "end", "similarity"]
    assert all(list(line)[:5] == keys for line in done.lines)
    assert {line["subject"] for line in done.lines} == {"Barack Obama", None}
    assert [line["track"] for line in done.lines] == list(range(1, len(done.lines) + 1))
    assert "a track is one trial; measured for tracks among 100 templates (not among 1)" in done.err
    assert all(line["measured_on"][0]["templates"] == 100 for line in done.lines)
    assert "45 frames, 15 of them analyzed" in done.err
    text = cli("video", crossing, "--gallery", gallery, *FAST).out
    assert ": Barack Obama (0.9" in text and "a stranger (closest: Barack Obama" in text
    strict = cli("video", crossing, "--gallery", gallery, "--threshold", 0.999, *FAST, code=1)
    assert "Barack Obama (0.9" not in strict.out
    assert "no error rate of tracks is known (the threshold was not chosen" in strict.err


def test_what_is_written(cli: CommandLine, crossing: Path, tmp_path: Path) -> None:
    out, faces = tmp_path / "out.mp4", tmp_path / "faces"
    words = ("video", crossing, "--json", "--out", out, "--faces", faces, *FAST)
    lines = cli(*words).lines
    pictures = [Path(line["picture"]) for line in lines]
    assert pictures == sorted(faces.iterdir())
    assert all(min(images.decode(path).shape[:2]) > 50 for path in pictures)
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert sum(1 for _ in container.decode(video=0)) == 45
    again = [Path(line["picture"]) for line in cli(*words).lines]
    assert not set(again) & set(pictures), "nothing is overwritten"


def test_people_of_several_videos(cli: CommandLine, crossing: Path, tmp_path: Path) -> None:
    made = clip("comes_back")
    back = write(tmp_path / "back.mp4", made.frames, made.times)
    gallery, people = tmp_path / "people.db", tmp_path / "people"
    cli("enroll", gallery, "Joe Biden", SAMPLES / "biden.jpg", "--threads", 1)
    words = ("video", back, crossing, "--gallery", gallery, "--json", "--every", 5, "--threads", 1)
    lines = cli(*words, "--people", people).lines
    tracks = [line for line in lines if "track" in line]
    persons = [line for line in lines if "person" in line]
    assert lines == [*tracks, *persons]
    assert [line["source"] for line in tracks] == [str(back)] * 2 + [str(crossing)] * (
        len(tracks) - 2
    )
    assert [line["subject"] for line in persons] == [None, "Joe Biden"]
    obama, biden = persons
    assert [(t["source"], t["track"]) for t in obama["tracks"][:2]] == [
        (str(back), 1),
        (str(back), 2),
    ]
    assert {t["source"] for t in obama["tracks"]} == {str(back), str(crossing)}
    assert sum(len(person["tracks"]) for person in persons) == len(tracks)
    assert [obama["folder"], biden["folder"]] == [
        str(people / "0001"),
        str(people / "0002 Joe Biden"),
    ]
    for person in persons:
        assert len(list(Path(person["folder"]).iterdir())) == len(person["tracks"])
    assert {path.name for path in people.iterdir()} == {"0001", "0002 Joe Biden"}
    cli(*words, "--people", people, code=2)
    text = cli("video", back, "--people", tmp_path / "again", "--every", 5)
    assert f"person 1: 2 tracks, the first in {back}, 0:00.0" in text.out
    assert "merge threshold: 0." in text.err


def test_one_of_several_videos_is_unusable(
    cli: CommandLine, crossing: Path, wall: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    done = cli("video", tmp_path / "text.mp4", wall, crossing, "--json", *FAST, code=3)
    assert {line["source"] for line in done.lines} == {str(crossing)}
    assert "text.mp4: not a video" in done.err


def test_a_part(cli: CommandLine, crossing: Path) -> None:
    lines = cli("video", crossing, "--start", "0:00.4", "--end", "1", "--json", *FAST).lines
    assert lines and all(0.4 <= line["start"] <= line["end"] < 1 for line in lines)


def test_exit_codes(cli: CommandLine, crossing: Path, wall: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    cli("video", wall, *FAST, code=1)
    cli("video", tmp_path / "none.mp4", code=3)
    cli("video", tmp_path / "text.mp4", code=3)
    cli("video", write_audio(tmp_path / "a.m4a"), code=3)
    cli("video", 99, code=3)
    for wrong in (
        ("--gallery", tmp_path / "none.db"),
        ("--fpir", "0.1"),
        ("--start", "soon"),
        ("--start", "60"),
        ("--start", "2", "--end", "1"),
        ("--every", "0"),
        ("--timeout", "0"),
        ("--out", tmp_path / "out.gif"),
        ("--out", crossing),
        ("--people", tmp_path),
        (crossing, "--out", tmp_path / "out.mp4"),
    ):
        cli("video", crossing, *wrong, code=2)
    cli("video", "rtsp://127.0.0.1:9/", "--out", tmp_path / "out.mp4", code=2)
    cli("video", "ftp://127.0.0.1/a.mp4", code=2)
    assert not (tmp_path / "out.gif").exists()


def test_a_truncated_video_is_one_warning(
    cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = clip("pan")
    path = write(tmp_path / "pan.mp4", made.frames, made.times, options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = cli("video", path, "--json", "--out", tmp_path / "out.mp4", *FAST)
    assert len(done.lines) == 1
    assert caplog.text.count("although its header says") == 1


def test_without_pyav_the_extra_is_named(
    cli: CommandLine, wall: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert "faceprint[video]" in cli("video", wall, code=4).err


def test_interrupting_a_live_stream_ends_it_in_order(cli: CommandLine, tmp_path: Path) -> None:
    """The stream's second half comes after the interrupt."""
    made = clip("zoom")
    data = write(tmp_path / "live.ts", made.frames, made.times).read_bytes()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(data)
            os.kill(os.getpid(), signal.SIGINT)
            connection.sendall(data)

    before = signal.getsignal(signal.SIGINT)  # ignored where a shell started the tests with `&`
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    done = cli("video", address, "--json", "--threads", 1, "--timeout", 20, code=None)
    thread.join()
    server.close()
    assert done.code in (0, 1) and f"watching {address}; Ctrl-C ends it" in done.err
    assert "of them analyzed" in done.err
    assert signal.getsignal(signal.SIGINT) is before
