"""Killed, out of room, two at once: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, card, vector
from waiting import until

from faceprint.errors import GalleryError
from faceprint.recognition.gallery import Gallery

KIT = Path(__file__).resolve().parents[1]
CHILD = """
import sys
sys.path.insert(0, sys.argv[4])
from gallery_kit import FakeAnalyzer
from faceprint.recognition.gallery import EnrollOptions, Gallery, Policy
with Gallery.open(sys.argv[1], FakeAnalyzer(), policy=Policy(keep_crops=True)) as gallery:
    name, count = sys.argv[2], int(sys.argv[3])
    print("open", flush=True)
    pairs = ((f"{name}-{n // 3}", f"{name}-{n // 3}/{n}".encode()) for n in range(count))
    for outcome in gallery.enroll_many(pairs, EnrollOptions(batch_size=4)):
        print(outcome.template, outcome.subject, outcome.source, flush=True)
"""


def child(path: Path, name: str, count: int = 10**9) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", CHILD, str(path), name, str(count), str(KIT)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def acknowledged(lines: list[str]) -> dict[str, str]:
    """Template -> subject, of whole lines: the last may be cut by the kill."""
    return dict(line.split()[:2] for line in lines if line.endswith("\n") and line != "open\n")


def check(path: Path, told: dict[str, str]) -> None:
    """Opens, holds all that was acknowledged, whole, and its log is intact."""
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        held = {}
        for subject in gallery.subjects():
            _, rows = gallery.show(subject.name)
            assert rows, "a subject without the templates it was made for"
            assert all(row.has_crop for row in rows), "half a template"
            held |= {row.id: subject.name for row in rows}
        missing = {key: name for key, name in told.items() if held.get(key) != name}
        assert missing == {}
        assert gallery.verify() == []
        assert gallery.verify_audit().intact
        logged = [e for e in gallery.audit() if e.action == "enroll"]
        assert len(logged) == len(held), "templates and lines of the log are one transaction"


@pytest.mark.slow
def test_killed_fifty_times_at_random_moments(tmp_path: Path) -> None:
    path, told = tmp_path / "people.db", {}
    rng = random.Random(5)
    for run in range(50):
        process = child(path, f"r{run}")
        assert process.stdout is not None
        lines: list[str] = []
        if run % 10:
            # So many templates that it has acknowledged; then somewhere in what it does next.
            lines = [process.stdout.readline() for _ in range(1 + rng.randrange(16))]
            for _ in range(rng.randrange(5000)):
                os.sched_yield()
        else:
            # While the gallery is made or opened.
            until(lambda: any(tmp_path.iterdir()), process)
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        told |= acknowledged([*lines, *output.splitlines(keepends=True)])
        check(path, told) if path.exists() else None
    assert len(told) > 100
    left = [file.name for file in tmp_path.iterdir() if file.name.endswith(".new")]
    assert len(left) <= 5, "only runs killed while making the gallery leave a temporary file"


def test_killed_once(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    process = child(path, "once")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(30)]
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    told = acknowledged([*lines, *output.splitlines(keepends=True)])
    assert len(told) >= 29
    check(path, told)


def test_two_processes_enroll_at_once(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    both = [child(path, name, 120) for name in ("a", "b")]
    told: dict[str, str] = {}
    for process in both:
        output, _ = process.communicate()
        assert process.returncode == 0
        lines = acknowledged(output.splitlines(keepends=True))
        assert len(lines) == 120
        assert not told.keys() & lines.keys(), "one number for two templates"
        told |= lines
    check(path, told)
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        assert len(gallery) == 240
        assert np.array_equal(gallery.vectors("b-3")[0], vector(b"b-3/9", card()))


def fill(path: Path) -> dict[str, str]:
    """Enroll until the disk is full; what was acknowledged."""
    told: dict[str, str] = {}
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        with pytest.raises(GalleryError, match="free some disk space"):
            for number in range(100_000):
                (outcome,) = gallery.enroll(
                    f"p{number}",
                    f"p{number}/1".encode(),
                    metadata={"filler": "x" * 20_000},
                )
                told[outcome.template] = outcome.subject  # type: ignore[union-attr]
        # The gallery still answers with what it has.
        assert gallery.identify(b"p0/x", threshold=0.5).subject == "p0"
    return told


def intact(path: Path, told: dict[str, str]) -> None:
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        held = {
            row.id: subject.name
            for subject in gallery.subjects()
            for row in gallery.show(subject.name)[1]
        }
        assert held == told
        assert gallery.verify() == []


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root; see the test with a limited file")
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(500_000))
        told = fill(folder / "g.db")
        assert told
        ballast.unlink()
        intact(folder / "g.db", told)
        with Gallery.open(folder / "g.db", FakeAnalyzer()) as gallery:
            gallery.enroll("more", b"more/1")
            assert gallery.identify(b"more/x", threshold=0.5).subject == "more"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_file_that_may_not_grow_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
    try:
        told = fill(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told
    intact(path, told)
