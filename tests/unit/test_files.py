"""A file is there whole, or what was there before; and who may read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

import pytest

from faceprint._files import atomic_write, file_of, is_gone, replacing


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.bin"
    path.write_bytes(b"before")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomic_write(path, fail)
    assert path.read_bytes() == b"before"
    assert [inner.name for inner in tmp_path.iterdir()] == ["t.bin"]


def test_private_files_are_their_owners_even_where_everybody_could_read_the_old_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.bin"
    atomic_write(path, b"1")
    assert mode(path) == 0o644
    atomic_write(path, b"2", private=True)
    assert (mode(path), path.read_bytes()) == (0o600, b"2")
    atomic_write(path, "3")
    assert mode(path) == 0o600, "what its owner has closed is not opened"


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    atomic_write(tmp_path / "link", b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"2"


def test_a_device_is_written_to_and_not_replaced() -> None:
    null = Path(os.devnull)
    before = null.stat().st_ino
    atomic_write(null, b"gone", private=True)
    assert (null.stat().st_ino, null.is_char_device()) == (before, True)


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 251 + ".txt", "\u00e4" * 125 + ".txt", "\U0001f600" * 62 + ".txt"):
        atomic_write(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(IsADirectoryError):
        atomic_write(tmp_path / "d", b"x")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "no" / "t"):
        pass


def test_the_file_of_a_name_that_was_stored(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    try:
        odd.touch()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    stored = f"{tmp_path}/caf\\xe9.jpg"
    assert file_of(stored) == odd
    Path(stored).touch()
    assert file_of(stored) == Path(stored), "a file that has the very name goes first"
    assert file_of(f"{tmp_path}/none\\xe9.jpg") == Path(f"{tmp_path}/none\\xe9.jpg")


def test_gone_is_what_is_known_to_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    assert not is_gone(tmp_path / "a")
    assert is_gone(tmp_path / "b")
    assert is_gone(tmp_path / "a" / "b")

    def refuse(path: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "lstat", refuse)
    assert not is_gone(tmp_path / "b")
