"""What an album remembers when files are moved, edited, gone and back; and what it never deletes.

The photographs are text: a line per face with a person and a box, then anything. What they show is
so known beforehand, and an edit of the rest is an edit of metadata.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from faceprint.cli.app import main
from faceprint.errors import DecodeError
from faceprint.recognition.albums import schema
from faceprint.recognition.albums.corrections import Corrections, FaceKey, find_faces
from faceprint.recognition.albums.corrections_store import store_corrections
from faceprint.recognition.albums.folders import write_folders
from faceprint.recognition.albums.people import Album
from faceprint.recognition.albums.removal import forget, forget_missing
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.albums.sync import SyncResult, find_photographs, sync_files, sync_results
from faceprint.recognition.cluster import ClusterOptions, cluster_album
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold
from faceprint.types import AnalyzedImage, Embedding, Face

BOX = (10.0, 10.0, 90.0, 90.0)
OPTIONS = ClusterOptions(threshold=0.5)
THRESHOLD = MergeThreshold.constant(0.5)


def vector(person: str) -> np.ndarray[Any, Any]:
    seed = int.from_bytes(person.encode(), "big") % 2**32
    row = np.random.default_rng(seed).standard_normal(64).astype(np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


class Analyzer:
    """Stands in for the models, and remembers what it was asked to look at."""

    embedder_card = SimpleNamespace(id="some-model")

    def __init__(self) -> None:
        self.seen: list[str] = []

    def analyze_many(self, sources: Iterable[str], **_: object) -> Iterator[AnalyzedImage]:
        for source in sources:
            self.seen.append(source)
            text = Path(source).read_text("utf-8")
            if text.startswith("damaged"):
                yield AnalyzedImage(source, [], error=DecodeError(f"{source}: damaged"))
                continue
            faces = []
            for line in text.splitlines():
                person, *box = line.split()
                if person != "#":
                    corners = np.asarray(box or BOX, np.float32)
                    embedding = Embedding(vector(person), "some-model", 1.0)
                    faces.append(Face(corners, 1.0, None, embedding=embedding))
            yield AnalyzedImage(source, faces)


@pytest.fixture
def lib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three people, in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    for name, person in (("local/c.jpg", "eve"), ("nas/a.jpg", "ada"), ("nas/b.jpg", "bob")):
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{person}\n")
    run(tmp_path / "lib")
    with AlbumFile(tmp_path / "album.db") as file:
        names = ((f"lib/nas/{s}.jpg", n) for s, n in (("a", "Ada"), ("b", "Bob")))
        assert (
            store_corrections(
                file, Corrections(names=tuple((FaceKey(s, BOX), n) for s, n in names))
            )
            == ()
        )
        cluster_album(file, Corrections(), OPTIONS)
    return tmp_path / "lib"


def run(*paths: Path | str, album: str = "album.db", cwd: Path | None = None) -> Any:
    """One run: what it changed, the album, and what was analyzed."""
    before = Path.cwd()
    path = before / album
    try:
        os.chdir(cwd or before)
        with AlbumFile(path) as file:
            analyzer = Analyzer()
            files = find_photographs([Path(p) for p in paths])
            done = sync_files(file, files, analyzer)  # type: ignore[arg-type]
            return done, cluster_album(file, Corrections(), OPTIONS), analyzer.seen
    finally:
        os.chdir(before)


def names(album: Album) -> dict[str, str]:
    """The name of the person on each photograph, by the photograph's file name."""
    return {Path(face.source).name: p.name for p in album.people for face in p.faces}


ALL = {"a.jpg": "Ada", "b.jpg": "Bob", "c.jpg": ""}


def touch(lib: Path) -> Path:
    for path in lib.rglob("*.jpg"):
        os.utime(path, ns=(1, 1))
    return lib


def rename_folder(lib: Path) -> Path:
    (lib / "nas").rename(lib / "2024")
    return lib


def rename_root(lib: Path) -> Path:
    return lib.rename(lib.with_name("photos"))


def swap(lib: Path) -> Path:
    (lib / "nas/a.jpg").rename(lib / "x")
    (lib / "nas/b.jpg").rename(lib / "nas/a.jpg")
    (lib / "x").rename(lib / "nas/b.jpg")
    return lib


def restore(lib: Path) -> Path:
    shutil.copytree(lib, lib.with_name("backup"), copy_function=shutil.copyfile)
    shutil.rmtree(lib)
    return lib.with_name("backup").rename(lib)


def link(lib: Path) -> Path:
    lib.with_name("linked").symlink_to(lib)
    return lib.with_name("linked")


@pytest.mark.parametrize(
    "change", [touch, rename_folder, rename_root, swap, restore, link, lambda lib: lib]
)
def test_the_same_bytes_are_the_same_photographs(lib: Path, change: Any) -> None:
    place = change(lib)
    done, album, seen = run(place)
    assert (done.added, done.known, done.missing, seen) == (0, 3, 0, [])
    expected = ALL | ({"a.jpg": "Bob", "b.jpg": "Ada"} if change is swap else {})
    assert names(album) == expected
    again, album, _ = run(place)
    assert (again.added, again.known, names(album)) == (0, 3, expected)


def test_relative_absolute_and_from_inside_are_one_folder(lib: Path) -> None:
    for paths, cwd in (((lib,), None), (("lib",), None), ((".",), lib), (("../lib/nas",), lib)):
        done, album, seen = run(*paths, cwd=cwd)
        assert (done.added, seen) == (0, [])
        assert names(album) == ALL
        assert len({face.source for p in album.people for face in p.faces}) == 3
    _, album, _ = run(".", cwd=lib)
    sources = {face.source for p in album.people for face in p.faces}
    assert sources == {"nas/a.jpg", "nas/b.jpg", "local/c.jpg"}
    with AlbumFile(Path("album.db")) as file:
        elsewhere = set(file.stored().table.sources)
    assert elsewhere == {str(lib / source) for source in sources}, "names that lead there from here"


def test_an_edit_around_the_pixels_keeps_name_number_and_corrections(lib: Path) -> None:
    apart = Corrections(
        cannot_link=((FaceKey("lib/nas/a.jpg", BOX), FaceKey("lib/nas/b.jpg", BOX)),)
    )
    with AlbumFile(Path("album.db")) as file:
        store_corrections(file, apart)
        before = {p.name: p.id for p in cluster_album(file, Corrections(), OPTIONS).people}
    (lib / "nas/a.jpg").write_text("ada 11 10 91 90\n# rating 5\n")
    done, album, seen = run(lib)
    assert (done.added, done.changed, done.known, done.missing) == (0, 1, 2, 0)
    assert [Path(source).name for source in seen] == ["a.jpg"]
    assert names(album) == ALL
    assert {p.name: p.id for p in album.people} == before
    with AlbumFile(Path("album.db")) as file:
        assert len(file.rows("SELECT 1 FROM links WHERE kind = 'cannot'")) == 1
        assert len(file.rows("SELECT 1 FROM faces")) == 3


def test_what_is_gone_waits_and_comes_back_with_its_names(lib: Path, tmp_path: Path) -> None:
    (lib / "nas").rename(tmp_path / "away")
    (lib / "nas").mkdir()
    done, album, _ = run(lib)
    assert (done.known, done.missing) == (1, 2)
    assert names(album) == {"c.jpg": ""}
    assert {name for one in album.missing for name in one.names} == {"Ada", "Bob"}
    assert "Ada, Bob" in album.notes[0]
    assert {row["names"][0] for row in album.to_dict()["missing"]} == {"Ada", "Bob"}
    shutil.rmtree(lib / "nas")
    (tmp_path / "away").rename(lib / "nas")
    done, album, seen = run(lib)
    assert (done.known, done.missing, seen) == (3, 0, [])
    assert names(album) == ALL
    assert album.missing == ()


def test_a_folder_that_is_not_named_is_not_missing_and_is_noticed_when_it_is(lib: Path) -> None:
    done, album, _ = run(lib / "local")
    assert (done.known, done.missing) == (1, 0)
    assert names(album) == ALL
    (lib / "nas").rename(lib.with_name("away"))
    assert run(lib / "local")[0].missing == 2
    lib.with_name("away").rename(lib / "nas")
    done, album, _ = run(lib / "local")
    assert done.missing == 0
    assert names(album) == ALL


def test_another_photograph_of_the_same_file_name_takes_over_no_name(lib: Path) -> None:
    old = (lib / "nas/a.jpg").read_bytes()
    (lib / "nas/a.jpg").write_text("stranger\n")
    done, album, _ = run(lib)
    assert names(album) == ALL | {"a.jpg": ""}
    assert [one.names for one in album.missing] == [("Ada",)]
    (lib / "local/found again.jpg").write_bytes(old)
    done, album, seen = run(lib)
    assert (done.added, done.missing, seen) == (0, 0, [])
    assert names(album) == ALL | {"a.jpg": "", "found again.jpg": "Ada"}


def test_an_edit_that_cannot_be_read_loses_nothing(lib: Path) -> None:
    (lib / "nas/a.jpg").write_text("damaged\n")
    done, album, _ = run(lib)
    assert [Path(source).name for source, _ in done.failed] == ["a.jpg"]
    assert names(album) == ALL
    (lib / "nas/a.jpg").write_text("ada\n")
    assert names(run(lib)[1]) == ALL


def test_a_copy_is_a_second_photograph_and_the_first_keeps_its_place(lib: Path) -> None:
    shutil.copy(lib / "nas/a.jpg", lib / "local/copy.jpg")
    done, album, _ = run(lib)
    assert (done.added, done.known) == (1, 3)
    assert names(album) == ALL | {"copy.jpg": "Ada"}


def test_missing_photographs_are_forgotten_on_request_alone(lib: Path) -> None:
    shutil.rmtree(lib / "nas")
    run(lib)
    with AlbumFile(Path("album.db")) as file:
        assert forget_missing(file) == (2, ("Ada", "Bob"))
        assert cluster_album(file, Corrections(), OPTIONS).missing == ()
        assert forget(file, ["lib/local/c.jpg"]) == 1
    left = Path("album.db").read_bytes()
    assert b"Ada" not in left
    assert vector("ada").tobytes() not in left


def test_a_stream_of_results_knows_photographs_by_content(lib: Path) -> None:
    (lib / "nas").rename(lib / "2024")
    with AlbumFile(Path("album.db")) as file:
        results = Analyzer().analyze_many(str(p) for p in sorted(lib.rglob("*.jpg")))
        assert sync_results(file, results) == SyncResult(0, 3)
        assert names(cluster_album(file, Corrections(), OPTIONS)) == ALL


def first_version(path: Path, sources: dict[str, str]) -> None:
    """An album as version 1 made it: photographs by name, size and time."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    for statement in schema._STEPS[0]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute("INSERT INTO album VALUES (1, 'some-model', 64, 9, '2026-01-01')")
    for key, (source, person) in enumerate(sources.items(), start=1):
        status = Path(source).stat()
        connection.execute(
            "INSERT INTO photos VALUES (?, ?, ?, ?)",
            (key, source, status.st_size, status.st_mtime_ns),
        )
        connection.execute("INSERT INTO people VALUES (?, ?)", (key, person.capitalize()))
        box = np.asarray(BOX, "<f4").tobytes()
        connection.execute(
            "INSERT INTO faces VALUES (?, ?, ?, ?, 1.0, ?, ?, NULL)",
            (key, key, key, box, np.full(4, np.nan, "<f4").tobytes(), vector(person).tobytes()),
        )
    connection.execute("INSERT INTO links VALUES (1, 'cannot', 1, 2)")
    connection.close()


@pytest.mark.parametrize("change", [lambda lib: lib, rename_folder, touch])
@pytest.mark.parametrize("absolute", [False, True])
def test_an_album_of_the_first_version_opens_and_keeps_its_names(
    lib: Path, change: Any, absolute: bool
) -> None:
    sources = {"lib/nas/a.jpg": "ada", "lib/nas/b.jpg": "bob", "lib/local/c.jpg": "eve"}
    first_version(Path("old.db"), sources)
    place = change(lib)
    done, album, _ = run(place if absolute else place.name, album="old.db")
    assert names(album) == {"a.jpg": "Ada", "b.jpg": "Bob", "c.jpg": "Eve"}
    assert (done.added, done.missing) == (0, 0)
    with AlbumFile(Path("old.db")) as file:
        assert file.rows("PRAGMA user_version") == [(schema.VERSION,)]
        assert file.rows("SELECT kind FROM links") == [("cannot",)]
        assert not file.rows("PRAGMA foreign_key_check")
    done, album, seen = run(lib if lib.exists() else place, album="old.db")
    assert (done.added, seen) == (0, [])


def test_a_correction_finds_its_photograph_from_any_folder(
    lib: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [str(lib / "nas/a.jpg"), str(lib / "nas/b.jpg")]
    boxes = np.tile(np.float32(BOX), (2, 1))
    keys = {name: FaceKey(name, BOX) for name in ("lib/nas/b.jpg", "nas/b.jpg", "b.jpg", "jpg")}
    rows = find_faces(keys.values(), sources, boxes)
    assert [rows[key] for key in keys.values()] == [1, 1, 1, None]
    monkeypatch.chdir(lib / "nas")
    assert find_faces([FaceKey("a.jpg", BOX)], sources, boxes) == {FaceKey("a.jpg", BOX): 0}
    assert find_faces([FaceKey("a\0.jpg", BOX)], sources, boxes) == {FaceKey("a\0.jpg", BOX): None}
    ambiguous = [str(lib / "x/a.jpg"), str(lib / "y/a.jpg")]
    assert find_faces([FaceKey("a.jpg", BOX)], ambiguous, boxes) == {FaceKey("a.jpg", BOX): None}


def folders(lib: Path) -> Album:
    return run(lib)[1]  # type: ignore[no-any-return]


def test_only_links_that_still_point_where_they_were_made_to_are_removed(lib: Path) -> None:
    people = Path("out/people")
    assert write_folders(folders(lib), people) == 3
    ada = next(people.glob("*Ada/a.jpg"))
    bob = next(people.glob("*Bob/b.jpg"))
    ada.unlink()
    ada.write_text("edited by hand")
    bob.unlink()
    bob.symlink_to("/somewhere else")
    with AlbumFile(Path("album.db")) as file:
        store_corrections(file, Corrections(names=((FaceKey("lib/local/c.jpg", BOX), "Eve"),)))
    assert write_folders(folders(lib), people) == 3
    assert ada.read_text() == "edited by hand"
    assert bob.readlink() == Path("/somewhere else")
    assert len(list(people.glob("*/c.jpg"))) == 1, "its own link moved to the new folder"
    assert {p.resolve().name for p in people.glob("*/*-2.jpg")} == {"a.jpg", "b.jpg"}


def test_a_list_from_elsewhere_removes_nothing(lib: Path) -> None:
    write_folders(folders(lib), Path("out/people"))
    theirs = Path("theirs/people")
    shutil.copytree("out/people", theirs, symlinks=True)
    kept = {path.relative_to(theirs) for path in theirs.glob("*/*")}
    (theirs / "Documents").mkdir()
    (theirs / "Documents/thesis.txt").write_text("precious")
    album = Album((), (), THRESHOLD, "some-model")
    write_folders(album, theirs)
    assert {path.relative_to(theirs) for path in theirs.glob("*/*.jpg")} == kept
    listed = json.dumps(["Documents/thesis.txt", *map(str, kept)])
    for text in (listed, "{", "[" * 99_999, json.dumps({"format": "faceprint-links/1"})):
        (theirs / ".faceprint-album.json").write_text(text)
        write_folders(album, theirs)
        assert {path.relative_to(theirs) for path in theirs.glob("*/*.jpg")} == kept
    forged = {
        "format": "faceprint-links/1",
        "folder": theirs.stat().st_ino,
        "links": {"Documents/thesis.txt": "precious", "../x/y": "z"},
    }
    (theirs / ".faceprint-album.json").write_text(json.dumps(forged))
    write_folders(album, theirs)
    assert (theirs / "Documents/thesis.txt").read_text() == "precious"


def test_copies_are_made_once_and_never_removed(lib: Path) -> None:
    for _ in range(2):
        assert write_folders(folders(lib), Path("out/people"), "copy") == 3
    copies = sorted(path.name for path in Path("out/people").glob("*/*"))
    assert copies == ["a.jpg", "b.jpg", "c.jpg"]
    write_folders(Album((), (), THRESHOLD, "some-model"), Path("out/people"), "copy")
    assert len(list(Path("out/people").glob("*/*"))) == 3


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["cluster", *map(str, words)])
    return int(left.value.code or 0), capsys.readouterr().err


def test_the_command_forgets_when_it_is_asked_to(
    lib: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(lib / "nas")
    run(lib)
    code, text = said(capsys, "--state", "album.db", "--threshold", "0.5")
    assert (code, "Ada, Bob" in text) == (0, True)
    code, text = said(capsys, "--state", "album.db", "--threshold", "0.5", "--forget", "no.jpg")
    assert "no.jpg: not in the album" in text
    code, text = said(capsys, "--state", "album.db", "--threshold", "0.5", "--forget-missing")
    assert (code, "2 missing photographs forgotten; nothing is left of Ada, Bob" in text) == (
        0,
        True,
    )
    assert said(capsys, "--forget-missing", lib)[0] == 2
