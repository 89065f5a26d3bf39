"""A service that can't start says why in one line, with the exit code of its kind."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from faceprint.cli.exit_codes import DONE, NO, USAGE


def start(*words: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "faceprint", "serve", "--no-auth", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


def test_a_gallery_that_cannot_be_opened_ends_the_start_in_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_text("hello")
    for gallery in (tmp_path / "missing" / "people.db", other):
        code, said = start("--port", 0, "--gallery", gallery)
        assert code not in (DONE, NO)
        assert said.startswith("faceprint: ")
        assert str(gallery) in said
        assert said.count("\n") == 1


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = start("--port", port)
    assert code == USAGE
    assert said == f"faceprint: can't listen on 127.0.0.1, port {port}: Address already in use\n"
