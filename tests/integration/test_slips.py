"""Slips on the command line: refused before the work, in words that help, and nothing is left."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest
from command_line import CommandLine

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
OBAMA, OBAMA2, COLLINS = (SAMPLES / f"{name}.jpg" for name in ("obama", "obama2", "collins"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    for who, photographs in (("ada", (OBAMA, OBAMA2)), ("bea", (COLLINS,))):
        (tmp_path / "people" / who).mkdir(parents=True)
        for photograph in photographs:
            shutil.copy(photograph, tmp_path / "people" / who)
    return tmp_path / "people"


def test_nothing_is_written_for_what_is_not_there(tmp_path: Path, run: CommandLine) -> None:
    gone = tmp_path / "gone.jpg"
    assert "no such file" in run("embed", gone, "--out", tmp_path / "t.npz", code=3).err
    assert "no such file" in run("enroll", tmp_path / "g.db", "ada", gone, code=3).err
    assert list(tmp_path.iterdir()) == []


def test_a_photograph_in_place_of_a_name(tmp_path: Path, run: CommandLine) -> None:
    said = run("enroll", tmp_path / "g.db", OBAMA, OBAMA2, code=2).err
    assert "whose is it?" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.HTML", "x.pq"])
def test_a_kind_of_table_that_is_not_written(tmp_path: Path, run: CommandLine, name: str) -> None:
    said = run("cluster", OBAMA, "--out", tmp_path / name, code=2).err
    assert ".parquet or .npz" in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_a_table(tmp_path: Path, run: CommandLine) -> None:
    (tmp_path / "t.npz").mkdir()
    assert "folder" in run("embed", OBAMA, "--out", tmp_path / "t.npz", "--overwrite", code=2).err
    assert "folder" in run("cluster", OBAMA, "--out", tmp_path / "t.npz", code=3).err
    (tmp_path / "people.rec").mkdir()
    said = run("evaluate", "identification", tmp_path / "people.rec", code=3).err
    assert "at least two people" in said


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_a_report_without_its_extra_is_refused_before_the_work(
    people: Path,
    tmp_path: Path,
    run: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    real = importlib.import_module

    def without(name: str, *more: object) -> ModuleType:
        if name.split(".")[0] in ("jinja2", "matplotlib"):
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", without)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("a,b,label\nada/obama.jpg,ada/obama2.jpg,1\nada/obama.jpg,bea/collins.jpg,0\n")
    words = {
        "evaluate": ["evaluate", "pairs", people, "--pairs", pairs],
        "calibrate": ["calibrate", people, "--name", "mine"],
    }[command]
    done = run(*words, "--report", tmp_path / "r", code=4)
    assert "faceprint[report]" in done.err
    assert "pictures:" not in done.err, "no picture was looked at"


def test_an_empty_calibration_is_not_saved(
    people: Path, tmp_path: Path, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    done = run("calibrate", people, "--name", "mine", "--json", code=1)
    assert (done.json["points"], done.json["file"]) == ([], None)
    assert "choosing thresholds" in done.err
    assert not list((tmp_path / "home").rglob("mine.json"))


@pytest.mark.parametrize(
    "words",
    [
        ("gallery", "remove", "{g}", "--older-than", "999999d"),
        ("gallery", "remove", "{g}", "--older-than", "0001-01-01T00:00:00+23:59"),
        ("gallery", "remove", "{g}", "--template", "9" * 5000),
        ("gallery", "policy", "{g}", "--retention-days", "999999"),
        ("gallery", "audit", "{g}", "--anchor", "\u00b2:" + "0" * 64),
        ("gallery", "audit", "{g}", "--anchor", "9" * 5000 + ":" + "0" * 64),
        ("enroll", "{g}", "bob", OBAMA2, "--metadata", '{"a": "\\ud800"}'),
        ("enroll", "{g}", "bob", OBAMA2, "--metadata", "[" * 100_000),
        ("enroll", "{g}", "bob", OBAMA2, "--metadata", '{"a":' * 50_000 + "1" + "}" * 50_000),
        ("enroll", "{g}", "bob", OBAMA2, "--min-quality", "nan"),
        (
            "enroll",
            "{g}",
            "bob",
            OBAMA2,
            "--consent",
            "a",
            "--consent-given",
            "0001-01-01T00:00+14",
        ),
        ("enroll", "{g}", "bob", OBAMA2, "--consent", "a", "--consent-expires", "9999-12-31T23-14"),
        ("detect", OBAMA, "--threads", "9" * 30),
        ("verify", OBAMA, OBAMA2, "--fmr", "nan"),
    ],
)
def test_odd_values_are_refused_by_name(
    tmp_path: Path, run: CommandLine, words: tuple[object, ...]
) -> None:
    gallery = tmp_path / "g.db"
    run("enroll", gallery, "ada", OBAMA)
    run(*(str(gallery) if word == "{g}" else word for word in words), code=2)
    assert len(run("gallery", "list", gallery, "--json").json["subjects"]) == 1


@pytest.mark.parametrize("name", ["FACEPRINT_THREADS", "FACEPRINT_PROCESSES"])
@pytest.mark.parametrize("value", ["\u00b2", "9" * 5000, "0", "99999999"])
def test_odd_values_of_the_environment(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert name in run("cluster", OBAMA, "--json", code=2).err


def test_a_list_of_pairs_with_odd_numbers(people: Path, tmp_path: Path, run: CommandLine) -> None:
    for head in ("\u00b2\t1", "9" * 5000 + "\t1"):
        (tmp_path / "pairs.txt").write_text(f"{head}\nada\t1\t2\n", "utf-8")
        run("evaluate", "lfw", people, "--pairs", tmp_path / "pairs.txt", code=3)


def test_hints_are_true(tmp_path: Path, run: CommandLine) -> None:
    said = run("models", "show", "starter", code=4).err
    assert "starter is a pack" in said
    assert "sface" not in said
    video = tmp_path / "x.mp4"
    video.write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(500))
    said = run("detect", video, code=3).err
    assert "a video" in said
    assert "HEIC" not in said
    assert "--threshold" in run("demo", "--help").out
    quiet = run("demo", "--out", tmp_path / "demo", "--threshold", 0.1, "--json", code=1)
    assert {entry["threshold"] for entry in quiet.json["sets"]} == {0.1}


def test_several_faces_are_explained_where_one_was_chosen(
    shared_faces: Path, run: CommandLine
) -> None:
    six = shared_faces / "insightface" / "t1.jpg"
    said = run("verify", six, six).err
    assert "6 faces; the largest was compared (see --faces)" in said
    assert "see --faces" not in run("verify", six, six, "--faces", "all").err


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_tables_keep_their_columns_on_narrow_terminals(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    import rich.console

    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(rich.console.Console, "is_terminal", True)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", run("models", "licenses").out)
    lines = [line for line in shown.splitlines() if line.strip()]
    assert max(map(len, lines)) <= width
    rule = next(number for number, line in enumerate(lines) if set(line.strip()) == {"\u2500"})
    headings, rows = " ".join(lines[:rule]), "".join("".join(lines[rule + 1 :]).split())
    for letters in ("id", "weights", "accep", "commer"):
        assert letters in headings
    # Each of the four columns, folded where it has to be and never cut.
    for start in ("edgeface", "CC0-1.", "unclea", "not"):
        assert start in rows


@pytest.mark.parametrize(
    "words",
    [
        ("embed", OBAMA, "--out", "{}/t.npz"),
        ("cluster", OBAMA, "--out", "{}/album"),
        ("cluster", "--from", "{}/t.npz"),
        ("detect", OBAMA, "--draw", "{}/drawn"),
        ("enroll", "{}/g.db", "ada", OBAMA),
        ("gallery", "list", "{}/g.db"),
        ("identify", "{}/g.db", OBAMA),
        ("models", "add", "{}/c.toml"),
        ("demo", "--out", "{}/demo"),
    ],
)
@pytest.mark.parametrize("place", ["closed", "a file"])
def test_a_path_that_cannot_be_used_is_named(
    tmp_path: Path,
    run: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
    place: str,
) -> None:
    folder = tmp_path / place
    folder.touch()
    if place == "closed":
        folder.unlink()
        refuse_below(folder, monkeypatch)
    done = run(*(str(word).replace("{}", str(folder)) for word in words), code=None)
    # `embed` has a code of its own for a table that can't be written.
    assert done.code in ((5,) if words[0] == "embed" else (2, 3)), done
    assert "--resume" not in done.err, "nothing is done that one could go on with"
    assert "unexpected" not in done.err
    assert str(folder) in done.err


def refuse_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stat", "mkdir", "open", "scandir"):
        real = getattr(os, name)

        def refuse(path: object, *more: object, real: object = real, **options: object) -> object:
            if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(folder):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *more, **options)  # type: ignore[operator]

        monkeypatch.setattr(os, name, refuse)
