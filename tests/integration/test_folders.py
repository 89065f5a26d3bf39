"""Folders as every command searches them: the same photographs, and one that can't be read."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from importlib import resources
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from command_line import CommandLine

SAMPLES = Path(str(resources.files("faceprint") / "samples"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


def put(sample: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SAMPLES / sample, path)
    return path


class Closed:
    """Folders that `os.scandir` and `os.stat` of what is in them are refused for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: set[str] = set()
        for name in ("scandir", "stat", "lstat"):
            monkeypatch.setattr(os, name, self._guarded(getattr(os, name), name == "scandir"))

    def _guarded(self, function: object, itself: bool) -> object:
        def guarded(path: object, *more: object, **options: object) -> object:
            if isinstance(path, str | os.PathLike):
                place = Path(path)
                inside = place.parents if not itself else (place, *place.parents)
                if any(folder.name in self.names for folder in inside):
                    raise PermissionError(13, "Permission denied", str(path))
            return function(path, *more, **options)  # type: ignore[operator]

        return guarded


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    return Closed(monkeypatch).names


def test_one_folder_that_cannot_be_read_costs_what_it_holds(
    tmp_path: Path, run: CommandLine, closed: set[str]
) -> None:
    album = tmp_path / "in"
    put("obama.jpg", album / "a" / "1.jpg")
    put("obama2.jpg", album / "a" / "2.jpg")
    put("biden.jpg", album / "lost+found" / "3.jpg")
    put("collins.jpg", album / "z" / "4.jpg")
    put("biden.jpg", album / "z" / "5.jpg")
    closed.add("lost+found")
    warning = "lost+found: folder can't be read (Permission denied)"
    for attempt in ((), ("--resume",)):
        embedded = run("embed", album, "--out", tmp_path / "t.npz", "--json", *attempt)
        assert (embedded.json["images"], embedded.json["failed"]) == (4, 0)
        assert embedded.json["unreadable"] == {str(album / "lost+found"): "Permission denied"}
        assert embedded.err.count(warning) == 1
    enrolled = run("enroll", tmp_path / "g.db", "--from", album, "--json", code=3)
    assert [line["subject"] for line in enrolled.lines] == ["a", "a", "z", "z"]
    assert enrolled.err.count(warning) == 1
    clustered = run("cluster", album, "--json", code=3)
    assert sum(len(p["faces"]) for p in clustered.json["people"]) == 4
    assert clustered.err.count(warning) == 1
    measured = run("evaluate", "clustering", album, "--json")
    assert measured.json["pictures"] == 4
    assert measured.err.count(warning) == 1
    nothing = run("embed", album / "lost+found", "--out", tmp_path / "n.npz", code=3)
    assert warning in nothing.err
    assert not list(tmp_path.glob("n.npz*"))


def test_a_pattern_names_the_folders_that_it_can_not_read(
    tmp_path: Path, run: CommandLine, closed: set[str]
) -> None:
    put("obama.jpg", tmp_path / "in" / "a" / "1.jpg")
    put("biden.jpg", tmp_path / "in" / "shut" / "2.jpg")
    closed.add("shut")
    for pattern in ("in/*/*.jpg", "in/**/*.jpg"):
        done = run(
            "embed", tmp_path / pattern, "--out", tmp_path / "t.npz", "--overwrite", "--json"
        )
        assert done.json["images"] == 1
        assert "shut: folder can't be read (Permission denied)" in done.err
    done = run("embed", tmp_path / "in/shut/*.jpg", "--out", tmp_path / "n.npz", code=3)
    assert "shut: folder can't be read" in done.err


def test_a_file_without_permission_is_judged_by_who_reads_it(
    tmp_path: Path, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("obama.jpg", tmp_path / "a.jpg")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # what the option parser asks
    run("detect", tmp_path / "a.jpg")
    (tmp_path / "c.csv").write_text("nothing")
    refused = run("cluster", tmp_path, "--must-link", tmp_path / "c.csv", code=3)
    assert "the heading is not" in refused.err


def test_a_table_in_a_folder_that_takes_none_cannot_be_written(
    tmp_path: Path, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    put("obama.jpg", tmp_path / "a.jpg")
    monkeypatch.setattr(Path, "mkdir", refuse)
    refused = run("embed", tmp_path / "a.jpg", "--out", tmp_path / "t.npz", code=5)
    assert "Permission denied" in refused.err


def test_an_album_keeps_what_lies_in_a_folder_that_cannot_be_read(
    tmp_path: Path, run: CommandLine, closed: set[str]
) -> None:
    album, out = tmp_path / "in", tmp_path / "out"
    put("obama.jpg", album / "a" / "1.jpg")
    put("collins.jpg", album / "z" / "2.jpg")
    run("cluster", album, "--out", out)
    closed.add("z")
    again = run("cluster", album, "--out", out, "--json", code=3)
    assert len(again.json["people"]) == 2
    assert "0 new, 1 known\n" in again.err
    # What lies there is not known to be missing, so it is not forgotten either.
    assert again.json["missing"] == []
    (album / "a" / "1.jpg").unlink()
    put("obama2.jpg", album / "a" / "3.jpg")
    kept = run("cluster", album, "--out", out, "--forget-missing", "--json", code=3)
    assert [one["source"] for one in kept.json["missing"]] == [str(album / "a" / "1.jpg")]
    assert "no missing photograph was forgotten" in kept.err
    closed.clear()
    done = run("cluster", album, "--out", out, "--forget-missing", "--json")
    assert done.json["missing"] == []
    sources = {face["source"] for person in done.json["people"] for face in person["faces"]}
    assert sources == {str(album / "a" / "3.jpg"), str(album / "z" / "2.jpg")}


def test_a_photograph_that_cannot_be_read_is_a_failure_of_an_evaluation(
    tmp_path: Path, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for who, sample in (("a", "obama.jpg"), ("b", "collins.jpg"), ("b", "biden.jpg")):
        put(sample, tmp_path / "set" / who / sample)
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "biden.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = run("evaluate", "clustering", tmp_path / "set", "--threshold", 0.9, "--json").json
    assert (found["pictures"], found["failed"]) == (3, 1)


def test_every_command_finds_the_same_photographs(tmp_path: Path, run: CommandLine) -> None:
    album = tmp_path / "in" / "ada"
    for number, name in enumerate(("a.jpg", "b.jfif", "c.jpe", "d.mpo", "e.JPG")):
        put("obama.jpg", album / name)
        with (album / name).open("ab") as file:
            file.write(bytes(number))  # five photographs, and not one five times
    put("obama2.jpg", tmp_path / "elsewhere" / "l.jpg")
    (album / "linked").symlink_to("../../elsewhere")
    put("collins.jpg", album / "@eaDir" / "a.jpg" / "THUMB.jpg")
    put("collins.jpg", album / ".Trash-0" / "t.jpg")
    put("collins.jpg", album / "raw" / "r.jpg")
    PIL.Image.new("RGB", (8, 8)).save(album / "g.gif")
    put("obama.jpg", album / "f.avif")
    put("collins.jpg", tmp_path / "in" / "bea" / "x.jpg")
    names = ["a.jpg", "b.jfif", "c.jpe", "d.mpo", "e.JPG", "linked/l.jpg"]
    expected = [str(album / name) for name in names] + [str(tmp_path / "in" / "bea" / "x.jpg")]
    exclude = ("--exclude", "raw")
    root, said = tmp_path / "in", []
    said.append(run("embed", root, "--out", tmp_path / "t.npz", *exclude).err)
    with np.load(tmp_path / "t.npz") as columns:
        # Linked folders come after everything else.
        assert sorted(set(columns["source"].tolist())) == sorted(expected)
    clustered = run("cluster", root, "--json", *exclude)
    said.append(clustered.err)
    assert clustered.json["passed_over"] == {"format": 2, "folder": 2, "excluded": 1}
    faces = [f["source"] for p in clustered.json["people"] for f in p["faces"]]
    assert sorted(faces) == sorted(expected)
    enrolled = run("enroll", tmp_path / "g.db", "--from", root, "--json", *exclude)
    said.append(enrolled.err)
    assert [line["source"] for line in enrolled.lines] == expected
    measured = run("evaluate", "clustering", root, "--threshold", 0.9, "--json", *exclude)
    said.append(measured.err)
    assert measured.json["pictures"] == len(expected)
    for text in said:
        for name in ("f.avif", "g.gif", "@eaDir", ".Trash-0", "raw"):
            assert text.count(f"ada/{name}") == 1, text


def readable_by_others(root: Path) -> set[str]:
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.name for path in files if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)}


def test_what_holds_a_face_is_its_owners_alone(
    tmp_path: Path, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "made" / "home"))
    photographs, made = tmp_path / "photographs", tmp_path / "made"
    made.mkdir(exist_ok=True)
    a, b, c = (put(name, photographs / name) for name in ("obama.jpg", "obama2.jpg", "collins.jpg"))
    before = os.umask(0o022)
    try:
        (made / "data.json").touch()
        run("embed", photographs, "--out", made / "t.npz")
        run("cluster", "--from", made / "t.npz", "--out", made / "people.npz")
        run("cluster", photographs, "--out", made / "album")
        run("enroll", made / "g.db", "ada", a, "--keep-crops")
        run("gallery", "show", made / "g.db", "ada", "--export", made / "data.json")
        run("gallery", "export", made / "g.db", made / "all.jsonl")
        run("identify", made / "g.db", b)
        run("verify", a, b, "--figure", made / "f.png")
        run("detect", a, "--draw", made / "drawn")
        pairs = tmp_path / "p.csv"
        pairs.write_text(
            f"a,b,label\n{a.name},{b.name},1\n{a.name},{c.name},0\n{b.name},{c.name},0\n"
        )
        words = ("evaluate", "pairs", photographs, "--pairs", pairs, "--threshold", 0.9)
        run(*words, "--report", made / "report")
        assert (made / "report" / "report.html").exists()
        assert (made / "home" / "embeddings" / "vectors.sqlite").exists()
    finally:
        os.umask(before)
    assert readable_by_others(made) == set()


def test_a_run_that_was_interrupted_is_its_owners_alone(
    tmp_path: Path, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceprint.bulk import run as bulk_run

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    put("obama.jpg", tmp_path / "in" / "a.jpg")
    monkeypatch.setattr(bulk_run, "write_table", fail)
    before = os.umask(0o022)
    try:
        run("embed", tmp_path / "in", "--out", tmp_path / "t.npz", code=5)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "t.npz.parts").stat().st_mode) == 0o700
