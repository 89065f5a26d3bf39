"""`faceprint video --show` on a display that nobody sees (Xvfb)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from numpy.typing import NDArray
from video_clips import av, clip, scene, write
from waiting import until

from faceprint.video.window import TkWindow

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
LINE = (64, 224, 208)
"""The color of a box."""

Screen = Callable[[], NDArray[np.uint8]]


def _missing(what: str) -> None:
    message = f"{what} is not installed: apt-get install xvfb python3-tk"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The name of a display of 640 x 480, and the file of its pixels.

    One for all tests: Tk keeps its connection, and ends the process when the display goes and it
    looks for events again.
    """
    if sys.platform != "linux":
        pytest.skip("Xvfb is for Linux")
    server = shutil.which("Xvfb")
    if server is None:
        _missing("Xvfb")
    try:
        import tkinter  # noqa: F401
    except ImportError:
        _missing("tkinter")
    folder = tmp_path_factory.mktemp("display")
    read, write_end = os.pipe()
    words = [str(server), "-displayfd", str(write_end), "-screen", "0", "640x480x24"]
    words += ["-nolisten", "tcp", "-fbdir", str(folder)]
    with subprocess.Popen(words, pass_fds=[write_end], stderr=subprocess.DEVNULL) as process:
        os.close(write_end)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        assert number, "Xvfb did not start"
        try:
            yield f":{number}", folder / "Xvfb_screen0"
        finally:
            process.terminate()


@pytest.fixture
def screen(display: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A display for this test; gives its (H, W, 3) RGB pixels."""
    name, pixels = display
    monkeypatch.setenv("DISPLAY", name)
    return lambda: _pixels(pixels)


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Read the memory of the screen: a file of xwd, with 32 bits a pixel."""
    data = path.read_bytes()
    header = np.frombuffer(data, ">u4", 25)
    start = int(header[0]) + 12 * int(header[19])  # the header and the colors
    rows = np.frombuffer(data, np.uint8, int(header[5] * header[12]), start)
    table = rows.reshape(int(header[5]), int(header[12]))
    return table.reshape(len(table), -1, 4)[:, :, 2::-1]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two hundred frames of Obama, who does not move."""
    still, _ = scene([("obama", 160, 120)])
    return write(tmp_path / "still.mp4", [still] * 200, np.arange(200) / 25)


def boxed(pixels: NDArray[np.uint8]) -> bool:
    """Whether a box is on the screen."""
    return int((pixels == LINE).all(axis=2).sum()) > 100


def acting(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[TkWindow], None], after: int = 30
) -> list[float]:
    """Do something to the window after so many frames; the times of those shown."""
    shown: list[float] = []
    show = TkWindow.show

    def noted(self: TkWindow, frame: Any) -> None:
        show(self, frame)
        shown.append(frame.time)
        if len(shown) == after:
            act(self)

    monkeypatch.setattr(TkWindow, "show", noted)
    return shown


def press(window: TkWindow, key: str) -> None:
    """A key, as from the keyboard."""
    window._root.focus_force()
    window.update()
    window._root.event_generate(f"<Key-{key}>")


def test_a_video_is_shown_and_q_ends_it(
    screen: Screen, cli: CommandLine, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, out = tmp_path / "people.db", tmp_path / "out.mp4"
    cli("enroll", gallery, "Barack Obama", SAMPLES / "obama2.jpg", "--threads", 1)
    seen: list[bool] = []

    def act(window: TkWindow) -> None:
        window.update()
        seen.append(until(lambda: boxed(screen())))
        press(window, "q")

    shown = acting(monkeypatch, act)
    words = ("--gallery", gallery, "--show", "--every", 3, "--threads", 1, "--out", out)
    done = cli("video", video, video, *words, code=2)
    done = cli("video", video, *words)
    assert seen == [True] and len(shown) == 30
    assert ": Barack Obama (0.9" in done.out and "200 frames" not in done.err
    with av.open(str(out)) as container:
        written = sum(1 for _ in container.decode(video=0))
    assert 30 <= written < 200, "what was analyzed is written, and no more"
    assert not boxed(screen()), "the window is gone"


@pytest.mark.parametrize("how", ["Escape", "the window's own button"])
def test_what_else_ends_all_videos(
    screen: Screen, cli: CommandLine, video: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def act(window: TkWindow) -> None:
        if how == "Escape":
            press(window, how)
        else:
            window._root.tk.call(window._root.protocol("WM_DELETE_WINDOW"))

    shown = acting(monkeypatch, act, 10)
    done = cli("video", video, video, "--show", "--json", "--every", 3, "--threads", 1)
    assert len(shown) == 10 and len(done.lines) == 1, "the second video is not begun"


def test_a_window_of_another_size(
    screen: Screen, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clip("zoom")
    path = write(tmp_path / "zoom.mp4", made.frames, made.times)

    def act(window: TkWindow) -> None:
        window._root.geometry("480x400")
        until(lambda: window.update() or window._label.winfo_width() == 480)

    shown = acting(monkeypatch, act, 20)
    found: list[tuple[int, int]] = []
    put = TkWindow._put
    monkeypatch.setattr(
        TkWindow, "_put", lambda self, picture: (found.append(picture.size), put(self, picture))
    )
    done = cli("video", path, "--show", "--every", 3, "--threads", 1)
    assert set(found) == {(320, 240), (480, 360)} and len(found) == len(shown)
    assert "60 frames" in done.err and shown == sorted(shown) and shown[-1] > 2.3
    assert done.out.startswith("track 1:")


def test_without_a_display_no_model_is_opened(
    cli: CommandLine, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tkinter = pytest.importorskip("tkinter", reason="this Python has no tkinter")

    def refuse(**_: object) -> None:
        raise tkinter.TclError("no display name")

    monkeypatch.setattr(tkinter, "Tk", refuse)
    done = cli("video", video, "--show", "--embedder", "w600k-mbf", code=4)
    assert "no window can be opened (no display name)" in done.err
    assert "w600k" not in done.err
