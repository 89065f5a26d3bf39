"""`faceprint find` on the samples that ship, with the models that ship."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest
from command_line import CommandLine

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
OBAMA, OTHER, COLLINS = (SAMPLES / f"{name}.jpg" for name in ("obama", "obama2", "collins"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(OTHER, folder / "sub")
    shutil.copy(COLLINS, folder)
    return folder


def test_a_person_is_found_in_a_folder_and_placed(
    cli: CommandLine, album: Path, tmp_path: Path
) -> None:
    found = cli("find", OBAMA, album, "--json", "--link", tmp_path / "out")
    (line,) = found.lines
    assert line["source"] == str(album / "sub" / "obama2.jpg")
    assert line["similarity"] >= line["threshold"] and len(line["box"]) == 4
    assert Path(line["file"]).resolve() == (album / "sub" / "obama2.jpg").resolve()
    assert "found in 1 of 2 photographs" in found.err and "2 comparisons" in found.err

    copied = cli("find", OBAMA, album, "--copy", tmp_path / "copies").out
    assert copied.startswith(str(album / "sub" / "obama2.jpg"))
    assert (tmp_path / "copies" / "obama2.jpg").read_bytes() == OTHER.read_bytes()


def test_a_table_is_searched_with_the_models_that_made_it(
    cli: CommandLine, album: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.npz"
    cli("embed", album, "--out", table)
    (line,) = cli("find", OBAMA, "--from", table, "--json").lines
    assert line["source"] == str(album / "sub" / "obama2.jpg")


def test_the_exit_codes(cli: CommandLine, album: Path, tmp_path: Path) -> None:
    assert cli("find", OBAMA, album / "collins.jpg", code=1).out == ""
    black = tmp_path / "black.png"
    from PIL import Image

    Image.new("RGB", (64, 64)).save(black)
    assert "no face" in cli("find", black, album, code=3).err
    (tmp_path / "album" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    lines = cli("find", OBAMA, album, "--json", code=3).lines
    assert ["error" in line for line in lines] == [True, False]
    cli("find", OBAMA, tmp_path / "gone", code=3)
    cli("find", OBAMA, code=2)
    cli("find", album, code=2)
    cli("find", OBAMA, album, "--copy", "a", "--link", "b", code=2)
    cli("find", OBAMA, album, "--fmr", 1e-3, "--fpir", 1e-2, code=2)
