"""Files that faceprint 0.1 wrote before its modules were rearranged open in the code as it is.

`tests/data/written-by-0.1.tar.xz` holds two galleries (one encrypted, with its key), an album with
a name and a correction, two embedding tables, and a bulk run that was killed in the second of its
four parts. All are of the four photographs that come with the package.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

import faceprint
from tests.command_line import CommandLine

ARCHIVE = Path(__file__).parents[1] / "data" / "written-by-0.1.tar.xz"
SAMPLES = Path(faceprint.__file__).parent / "samples"
PHOTOGRAPHS = ("obama.jpg", "collins.jpg", "biden.jpg", "obama2.jpg")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the old files and the photographs lie."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    shutil.copytree(SAMPLES, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.mark.parametrize("name, key", [("clear.db", ()), ("sealed.db", ("--key-file", "key"))])
@pytest.mark.usefixtures("written")
def test_galleries_are_sound_and_identify(
    name: str, key: tuple[str, ...], run: CommandLine
) -> None:
    assert run("gallery", "verify", name, *key).out.strip() == "sound"
    listed = run("gallery", "list", name, *key).out
    assert "obama" in listed and "collins" in listed
    (found,) = run("identify", name, "photos/obama2.jpg", *key, "--json").lines
    assert found["subject"] == "obama"
    again = run("enroll", name, "obama", "photos/obama.jpg", *key, "--json").lines
    assert [line["new"] for line in again] == [False]
    run("gallery", "remove", name, "collins", *key)
    assert "collins" not in run("gallery", "list", name, *key).out
    assert run("gallery", "audit", name, *key, "--verify").code == 0


@pytest.mark.usefixtures("written")
def test_the_consent_and_metadata_are_there(run: CommandLine) -> None:
    shown = run("gallery", "show", "clear.db", "obama", "--json").json
    assert shown["metadata"] == {"role": "president"}
    assert shown["consent"]["basis"] == "written consent"


@pytest.mark.usefixtures("written")
def test_an_album_keeps_its_names_though_the_photographs_lie_elsewhere(run: CommandLine) -> None:
    album = run("cluster", "photos", "--state", "album.db", "--json").json
    named = {
        person["name"]: {Path(face["source"]).name for face in person["faces"]}
        for person in album["people"]
        if person["name"]
    }
    assert named == {"Barack": {"obama.jpg", "obama2.jpg"}}
    assert len(album["people"]) == 3
    assert album["missing"] == []


@pytest.mark.parametrize("name", ["table.parquet", "table.npz"])
@pytest.mark.usefixtures("written")
def test_tables_are_clustered(name: str, run: CommandLine) -> None:
    album = run("cluster", "--from", name, "--json").json
    sizes = sorted(len(person["faces"]) for person in album["people"])
    assert sizes == [1, 1, 2]


@pytest.mark.usefixtures("written")
def test_a_bulk_run_that_was_killed_goes_on(run: CommandLine) -> None:
    sources = [f"photos/{name}" for name in PHOTOGRAPHS]
    done = run("embed", *sources, "--out", "half.parquet", "--part", "1", "--resume", "--json").json
    assert (done["images"], done["faces"], done["skipped"]) == (4, 4, 1)
    album = run("cluster", "--from", "half.parquet", "--json").json
    assert sorted(len(person["faces"]) for person in album["people"]) == [1, 1, 2]
