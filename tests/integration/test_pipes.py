"""Pipes that nobody writes to and files without an end, in the place of every kind of file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faceprint._files import read_bounded
from faceprint.bulk.inputs import expand
from faceprint.errors import DatasetError, FaceprintError
from faceprint.evaluation.bin_pack import open_bin
from faceprint.evaluation.groups import read_groups
from faceprint.evaluation.pairs import open_pair_table
from faceprint.recognition.albums.corrections_file import read_corrections
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.gallery.crypto import read_key_file
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.thresholds.calibration_file import load_calibration
from faceprint.zoo.card_io import read_card

USES = {
    "list": ("l.txt", lambda path: list(expand([str(path)]))),
    "key": ("key", read_key_file),
    "corrections": ("c.json", read_corrections),
    "pairs": ("p.csv", open_pair_table),
    "groups": ("g.csv", read_groups),
    "pack": ("lfw.bin", open_bin),
    "calibration": ("c.json", load_calibration),
    "card": ("c.toml", read_card),
    "album": ("album.db", AlbumFile),
    "gallery": ("g.db", Gallery.open),
}

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_pipes import USES
from faceprint.errors import FaceprintError
try:
    USES[sys.argv[2]][1](Path(sys.argv[3]))
except FaceprintError as error:
    print(error)
"""


@pytest.mark.parametrize("what", sorted(USES))
def test_a_pipe_that_nobody_writes_to_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / USES[what][0]
    os.mkfifo(path)
    words = [sys.executable, "-c", CHILD, str(Path(__file__).parent), what, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    assert "not a regular file" in done.stdout


@pytest.mark.parametrize("what", sorted(USES))
def test_a_file_without_an_end_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / USES[what][0]
    path.symlink_to("/dev/zero")
    with pytest.raises(FaceprintError):
        USES[what][1](path)


def test_a_pipe_that_is_open_already_is_read_as_a_file() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"secret")
    os.close(writing)
    try:
        assert read_bounded(Path(f"/dev/fd/{reading}"), 6) == b"secret"
    finally:
        os.close(reading)


def test_a_line_longer_than_any_name_is_no_name(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_bytes(b"a.jpg\n" + bytes(1 << 20))
    names = expand([str(path)])
    assert next(names) == "a.jpg"
    with pytest.raises(DatasetError, match="not a list"):
        next(names)
