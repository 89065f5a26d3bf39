"""Which files of a folder are photographs: one walk, tried on trees made by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faceprint.vision import sources
from faceprint.vision.search_report import SearchReport
from faceprint.vision.sources import expand_folders, find_images, find_people, walk


def grow(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def found(root: Path, report: SearchReport | None = None, *exclude: str) -> list[str]:
    paths = find_images(root, exclude=exclude, report=report)
    return [os.path.relpath(path, root) for path in paths]


@pytest.fixture(autouse=True)
def no_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_reads_heif", lambda: False)


def test_every_suffix_that_is_read_in_any_case(tmp_path: Path) -> None:
    names = ["a.jpg", "b.JPEG", "c.jpe", "d.jfif", "e.mpo", "f.png", "g.webp", "h.BMP", "i.tif"]
    grow(tmp_path, *names, "j.tiff", "notes.doc", "noext", "k.txt")
    assert found(tmp_path) == [*names, "j.tiff"]


def test_folders_are_searched_to_the_bottom_in_the_order_of_names(tmp_path: Path) -> None:
    grow(tmp_path, "b/2.jpg", "b/1.jpg", "a.jpg", "c.jpg", "b/deep/3.jpg")
    assert found(tmp_path) == ["a.jpg", "b/1.jpg", "b/2.jpg", "b/deep/3.jpg", "c.jpg"]


def test_what_is_skipped_is_counted_and_named(tmp_path: Path) -> None:
    grow(tmp_path, "a.jpg", "g.gif", "f.avif", "raw.CR2", "x.heic", ".hidden.jpg", ".notes")
    grow(tmp_path, "@eaDir/a.jpg/THUMB.jpg", "#recycle/b.jpg", ".Trash-0/t.jpg", "sub/@EADIR/x.jpg")
    (tmp_path / "broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    report = SearchReport()
    assert found(tmp_path, report) == ["a.jpg"]
    assert report.counts == {"folder": 4, "hidden": 1, "format": 3, "heif": 1, "no-file": 2}
    said = "\n".join(report.messages())
    for name in ("g.gif", "f.avif", "raw.CR2", "x.heic", "@eaDir", "#recycle", "broken.jpg"):
        assert name in said
    assert "pip install 'faceprint[heif]'" in said


def test_heic_is_taken_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_reads_heif", lambda: True)
    grow(tmp_path, "x.heic", "y.HEIF")
    report = SearchReport()
    assert found(tmp_path, report) == ["x.heic", "y.HEIF"]
    assert not report.counts


def test_a_folder_that_is_named_itself_is_searched_whatever_it_is_called(tmp_path: Path) -> None:
    grow(tmp_path, ".hidden/a.jpg", "@eaDir/b.jpg")
    assert found(tmp_path / ".hidden") == ["a.jpg"]
    assert found(tmp_path / "@eaDir") == ["b.jpg"]


def test_linked_folders_come_last_and_each_folder_once(tmp_path: Path) -> None:
    grow(tmp_path, "album/z/a.jpg", "elsewhere/b.jpg")
    album = tmp_path / "album"
    (album / "linked").symlink_to("../elsewhere")
    (album / "again").symlink_to("../elsewhere")
    (album / "aa").symlink_to("z")
    (album / "loop").symlink_to(".")
    (album / "z" / "up").symlink_to("..")
    assert found(album) == ["z/a.jpg", "again/b.jpg"]


def test_patterns_leave_out_names_and_paths(tmp_path: Path) -> None:
    grow(tmp_path, "a.jpg", "private/b.jpg", "c/private/d.jpg", "c/e.png", "c/f/g.jpg")
    report = SearchReport()
    assert found(tmp_path, report, "private", "*.png") == ["a.jpg", "c/f/g.jpg"]
    assert report.counts == {"excluded": 3}
    assert found(tmp_path, None, "c/private") == ["a.jpg", "c/e.png", "c/f/g.jpg", "private/b.jpg"]
    assert found(tmp_path, None, "c/") == ["a.jpg", "private/b.jpg"]


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path, "a/1.jpg", "lost+found/2.jpg", "z/3.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = SearchReport()
    assert found(tmp_path, report) == ["a/1.jpg", "z/3.jpg"]
    assert report.unreadable == {str(tmp_path / "lost+found"): "Permission denied"}
    assert [line for line in report.messages() if "lost+found" in line]


def test_the_same_without_the_right_to_read_it(tmp_path: Path) -> None:
    if not hasattr(os, "setuid") or os.getuid() != 0:
        pytest.skip("needs root, to become somebody else in a process of its own")
    grow(tmp_path, "a/1.jpg", "lost+found/2.jpg", "no-entry/3.jpg", "z/4.jpg")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    (tmp_path / "lost+found").chmod(0)
    (tmp_path / "no-entry").chmod(0o444)
    program = (
        "import os, sys; from faceprint.vision.sources import find_images\n"
        "from faceprint.vision.search_report import SearchReport\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); r = SearchReport()\n"
        "print([os.path.relpath(p, sys.argv[1]) for p in find_images(sys.argv[1], report=r)])\n"
        "print([os.path.relpath(p, sys.argv[1]) for p in r.unreadable])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    # The names in a folder that may be listed and not entered are known; each file fails alone.
    assert done.stdout.splitlines() == [
        "['a/1.jpg', 'no-entry/3.jpg', 'z/4.jpg']",
        "['lost+found']",
    ]


def test_folders_deeper_than_the_call_stack(tmp_path: Path) -> None:
    deep, here = 1300, Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(deep):
            Path("d").mkdir()
            os.chdir("d")
        Path("x.jpg").touch()
    finally:
        os.chdir(here)
    report = SearchReport()
    # The path may be longer than the system takes; then the folder where it ends is reported.
    assert len(found(tmp_path, report)) + len(report.unreadable) == 1
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_names_that_are_not_utf8_are_found_as_the_system_has_them(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    try:
        Path(os.fsdecode(odd)).touch()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    assert [os.fsencode(path) for path in find_images(tmp_path)] == [odd]


def test_people_have_the_photographs_below_their_folders(tmp_path: Path) -> None:
    grow(tmp_path, "ada/1.jpg", "ada/2020/2.jfif", "bob/3.jpg", "loose.jpg", ".x/4.jpg")
    (tmp_path / "ada" / "others").symlink_to("..")
    (tmp_path / "cy").symlink_to("bob")
    report = SearchReport()
    people = [
        (who, os.path.relpath(p, tmp_path)) for who, p in find_people(tmp_path, report=report)
    ]
    assert people == [
        ("ada", "ada/1.jpg"),
        ("ada", "ada/2020/2.jfif"),
        ("bob", "bob/3.jpg"),
        ("cy", "cy/3.jpg"),
    ]
    assert report.counts == {"folder": 1, "loose": 1}


def test_a_walk_gives_files_of_every_kind(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "b/c.jpg", ".d")
    assert [os.path.relpath(p, tmp_path) for p in walk(tmp_path, report=SearchReport())] == [
        "a.txt",
        "b/c.jpg",
    ]


def test_files_are_taken_as_they_are_named_and_folders_are_searched(tmp_path: Path) -> None:
    root = grow(tmp_path, "a/1.jpg", "a/2.txt", "b.txt")
    words = [root / "b.txt", root / "a", root / "gone.jpg"]
    assert list(expand_folders(words)) == [
        str(root / name) for name in ("b.txt", "a/1.jpg", "gone.jpg")
    ]
