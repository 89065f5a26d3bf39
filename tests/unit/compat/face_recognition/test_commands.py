"""The two commands: their lines, photographs that can't be used, and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"faceprint.compat.{module}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_people_are_named_and_bad_photographs_are_reported(tmp_path: Path) -> None:
    Image.new("RGB", (90, 60)).save(tmp_path / "empty.png")
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    done = run("face_recognition", str(tmp_path), str(tmp_path / "empty.png"))
    assert done.stdout == f"{tmp_path / 'empty.png'},no_persons_found\n"
    assert "no face in" in done.stderr and "broken.jpg" in done.stderr
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_detection_reads_folders(tmp_path: Path) -> None:
    Image.new("RGB", (90, 60)).save(tmp_path / "empty.png")
    (tmp_path / "notes.txt").write_text("no photograph")
    done = run("face_detection", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")
    done = run("face_detection", str(tmp_path), "--model", "other")
    assert done.returncode == 1 and "'hog' or 'cnn'" in done.stderr
