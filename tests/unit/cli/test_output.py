"""What a terminal gets, and what a pipe gets."""

from __future__ import annotations

import io
import sys

import pytest

from faceprint.cli.output import note, print_table, say

ROWS = [("ada", 3, None), ("a\tb\x1b[31m", 12, "x")]
COLUMNS = ("subject", "templates", "metadata")
ESCAPE = "\x1b["


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Instead of stdout and stderr; in the test itself, as pytest replaces them before."""
    screen = Terminal()
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_a_pipe_gets_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    print_table(("", ""), [("model", "sface"), ("\u540d", "x" * 500)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "subject       templates  metadata",
        "ada           3",
        "a\\tb\\x1b[31m  12         x",
    ]
    # A character that is two cells wide.
    assert lines[3:] == ["model  sface", "\u540d     " + "x" * 500]


def test_a_terminal_gets_a_drawn_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    print_table(COLUMNS, ROWS)
    text = terminal.getvalue()
    assert "\u2500" in text and "\t" not in text and "\x1b[31m" not in text


def test_colors_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    say("match", color="green")
    note("faceprint: a.jpg: no such file")
    note("threshold 0.9")
    good, error, plain = terminal.getvalue().splitlines()
    assert good.startswith(ESCAPE) and error.startswith(ESCAPE) and ESCAPE not in plain
    assert error.endswith(" a.jpg: no such file")
    terminal.truncate(0)
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            say("match", color="green")
            note("faceprint: no")
    assert ESCAPE not in terminal.getvalue()


def test_a_pipe_gets_no_color(capsys: pytest.CaptureFixture[str]) -> None:
    say("match", color="green")
    note("faceprint: no")
    assert capsys.readouterr() == ("match\n", "faceprint: no\n")
