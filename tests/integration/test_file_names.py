"""File names that are not UTF-8, and names that would steer a terminal, through every command."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine

from faceprint.embedding_table.reader import read_groups

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
STEERS = "\x1b]0;PWNED\x07\x1b[2K\x9b8m"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


def put(sample: str, folder: Path, name: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    try:
        shutil.copy(SAMPLES / sample, path)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two photographs, one of them in the Latin-1 spelling of café.jpg."""
    put("obama.jpg", tmp_path / "in", b"a.jpg")
    put("collins.jpg", tmp_path / "in", b"caf\xe9.jpg")
    return tmp_path / "in"


@pytest.fixture
def names(album: Path) -> list[str]:
    """As every output spells them."""
    return [f"{album}/a.jpg", f"{album}/caf\\xe9.jpg"]


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_tables_hold_whole_names(
    album: Path, names: list[str], tmp_path: Path, run: CommandLine, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    # The escaped name is longer than its bytes.
    put("obama2.jpg", album, b"\xe9t\xe9" * 20 + b".jpg")
    expected = [*names, f"{album}/" + r"\xe9t\xe9" * 20 + ".jpg"]
    table = tmp_path / (os.fsdecode(b"t\xe9.") + suffix)
    run("embed", album, "--out", table)
    found = [source for columns in read_groups(table) for source in columns["source"].tolist()]
    assert found == expected
    people = tmp_path / (os.fsdecode(b"people\xe9.") + suffix)
    run("cluster", "--from", table, "--out", people)
    if suffix == "npz":
        with np.load(people) as columns:
            assert set(columns["source"].tolist()) == set(expected)


def test_an_album_takes_them_in_and_knows_them_again(
    album: Path, names: list[str], tmp_path: Path, run: CommandLine
) -> None:
    out = tmp_path / "out"
    first = run("cluster", album, "--out", out, "--json").json
    assert sorted(f["source"] for p in first["people"] for f in p["faces"]) == names
    assert "caf\\\\xe9.jpg" in (out / "index.html").read_text("utf-8")
    links = {os.fsencode(link.name) for link in (out / "people").rglob("*.jpg") if link.exists()}
    assert links == {b"a.jpg", b"caf\xe9.jpg"}
    assert "0 new, 2 known\n" in run("cluster", album, "--out", out).err
    # What the contact sheet downloads names faces as the album does.
    face = next(f for p in first["people"] for f in p["faces"] if f["source"] == names[1])
    key = {"source": face["source"], "box": face["box"]}
    corrections = {"format": "faceprint-corrections/1", "names": [[key, "Eileen"]]}
    (tmp_path / "c.json").write_text(json.dumps(corrections))
    named = run("cluster", album, "--out", out, "--corrections", tmp_path / "c.json", "--json").json
    assert [p["faces"][0]["source"] for p in named["people"] if p["name"]] == [names[1]]
    moved = album / os.fsdecode(b"th\xe9.jpg")
    (album / os.fsdecode(b"caf\xe9.jpg")).rename(moved)
    again = run("cluster", album, "--out", out, "--json").json
    assert {p["faces"][0]["source"] for p in again["people"] if p["name"] == "Eileen"} == {
        f"{album}/th\\xe9.jpg"
    }
    links = {os.fsencode(link.name) for link in (out / "people").rglob("*.jpg") if link.exists()}
    assert links == {b"a.jpg", b"th\xe9.jpg"}
    moved.unlink()
    assert "0 new, 1 known, 1 missing\n" in run("cluster", album, "--out", out).err
    waiting = run("cluster", album, "--out", out, "--json").json["missing"]
    assert waiting == [{"source": f"{album}/th\\xe9.jpg", "names": ["Eileen"]}]
    run("cluster", album, "--out", out, "--forget", moved)
    assert run("cluster", album, "--out", out, "--json").json["missing"] == []


def test_galleries_keep_them_and_open_them_again(
    album: Path, names: list[str], tmp_path: Path, run: CommandLine
) -> None:
    from faceprint.recognition.gallery.sources import image_digest

    odd = put("obama2.jpg", tmp_path / "people" / os.fsdecode(b"ad\xe9"), b"p\xe9.jpg")
    gallery = tmp_path / os.fsdecode(b"g\xe9.db")
    lines = run("enroll", gallery, "--from", tmp_path / "people", "--json").lines
    assert [line["subject"] for line in lines] == ["ad\\xe9"]
    run("enroll", gallery, "bob", album)
    shown = run("gallery", "show", gallery, "bob", "--json").json
    assert sorted(template["source"] for template in shown["templates"]) == names
    # A subject is found by the name that the shell completes, too.
    theirs = run("gallery", "show", gallery, os.fsdecode(b"ad\xe9"), "--json").json
    assert theirs["templates"][0]["source"] == f"{tmp_path}/people/ad\\xe9/p\\xe9.jpg"
    answers = run("identify", gallery, odd, "--json").lines
    assert (answers[0]["source"], answers[0]["subject"]) == (
        f"{tmp_path}/people/ad\\xe9/p\\xe9.jpg",
        "ad\\xe9",
    )
    assert image_digest(odd)[1] == answers[0]["source"]
    run("gallery", "audit", gallery, "--verify")
    run("gallery", "export", gallery, tmp_path / os.fsdecode(b"e\xe9.jsonl"))
    run("gallery", "remove", gallery, os.fsdecode(b"ad\xe9"))


def test_comparing_drawing_and_measuring(album: Path, tmp_path: Path, run: CommandLine) -> None:
    odd = album / os.fsdecode(b"caf\xe9.jpg")
    figure = tmp_path / os.fsdecode(b"f\xe9.png")
    run("verify", odd, odd, "--figure", figure)
    assert figure.exists()
    assert run("detect", odd, "--draw", tmp_path / "drawn", "--json").lines[0]["source"] == (
        f"{album}/caf\\xe9.jpg"
    )
    for who, samples in ((b"ad\xe9", ("obama.jpg", "obama2.jpg")), (b"b\xff", ("collins.jpg",))):
        for number, sample in enumerate(samples):
            put(sample, tmp_path / os.fsdecode(b"set\xe9/" + who), b"\xe9%d.jpg" % number)
    for _ in range(2):  # the second time from the cache
        found = run("evaluate", "clustering", tmp_path / os.fsdecode(b"set\xe9"), "--json").json
        assert (found["dataset"], found["pictures"], found["failed"]) == ("set\\xe9", 3, 0)


def test_names_on_standard_input_are_bytes(album: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "faceprint", "embed", "-", "--out", str(tmp_path / "t.npz")]
    listed = (
        b"\xef\xbb\xbf" + os.fsencode(album) + b"/a.jpg\n" + os.fsencode(album) + b"/caf\xe9.jpg\n"
    )
    done = subprocess.run([*words, "--json"], input=listed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["images"], json.loads(done.stdout)["failed"]) == (2, 0)


def harmless(text: str) -> bool:
    """Nothing a terminal obeys but the end of a line."""
    return all(character.isprintable() or character == "\n" for character in text)


def test_nothing_that_steers_a_terminal_reaches_it(tmp_path: Path, run: CommandLine) -> None:
    folder = tmp_path / STEERS
    photo = put("obama2.jpg", folder, f"{STEERS}\nfaceprint: all is well.jpg".encode())
    bad = folder / f"{STEERS}bad.jpg"
    bad.write_text("no photograph")
    gallery = tmp_path / "g.db"
    said = [
        run("detect", photo, bad, code=3),
        run("enroll", gallery, "ada", photo, bad, code=3),
        run("identify", gallery, photo, bad, code=3),
        run("verify", photo, bad, code=3),
        run("embed", folder, "--out", tmp_path / "t.npz"),
        run("cluster", folder, "--out", folder / "out", code=3),
        run("cluster", folder, "--must-link", bad, code=3),
        run("evaluate", "identification", folder, code=3),
        run("models", "show", STEERS, code=4),
        run("models", "pull", STEERS, code=4),
        run("verify", photo, photo, "--calibration", STEERS, code=None),
        run(STEERS, code=2),
        run("detect", f"--{STEERS}", code=2),
    ]
    connection = sqlite3.connect(gallery)
    connection.execute("UPDATE subjects SET name = ?", (f"{STEERS}ada",))
    connection.commit()
    connection.close()
    said += [
        run("gallery", "list", gallery, code=3),
        run("gallery", "verify", gallery, code=1),
        # A stranger would have given the row its tag, too.
        run("gallery", "verify", gallery, "--accept", code=None),
        run("gallery", "list", gallery),
        run("gallery", "show", gallery, code=None),
        run("identify", gallery, photo, code=None),
    ]
    for done in said:
        assert harmless(done.out), done
        assert harmless(done.err), done
        assert "\nfaceprint: all is well" not in done.out + done.err, "a line of its own"
    raw = run("gallery", "list", gallery, "--json")
    assert harmless(raw.out)
    assert raw.json["subjects"][0]["subject"] == f"{STEERS}ada", "JSON has the very name"


def test_a_card_cannot_hide_its_license(
    tmp_path: Path, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    card = tmp_path / "c.toml"
    text = (
        'id = "esc"\ntask = "embed"\ndecoder = "vector"\ntitle = "\\u001b[8mhidden"\ndim = 16\n'
        '[license]\nweights = "research only"\ncommercial_use = "no"\n'
        'note = "\\u001b[1A\\u001b[2K\\n  commercial use: yes"\n'
        '[input]\nwidth = 112\nheight = 112\ncolor = "RGB"\nmean = [127.5, 127.5, 127.5]\n'
        'std = [127.5, 127.5, 127.5]\n[alignment]\ntemplate = "arcface-112"\n'
        '[[files]]\nname = "esc.onnx"\n'
    )
    card.write_text(text)
    run("models", "add", card)
    listed, refused = run("models", "list"), run("models", "pull", "esc", code=4)
    accepted = run("models", "pull", "esc", "--accept-license", code=4)
    for done in (listed, refused, accepted):
        assert harmless(done.out + done.err), done
        assert "\n  commercial use: yes" not in done.err
    assert "hidden" in listed.out
    assert "research only" in refused.err


def test_half_a_surrogate_pair_is_escaped_wherever_it_comes_from(
    album: Path, tmp_path: Path, run: CommandLine
) -> None:
    run("embed", album, "--out", tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as columns:
        table = {name: columns[name] for name in columns.files}
    table["source"] = np.asarray(["\ud800.jpg"] * len(table["source"]))
    np.savez(tmp_path / "odd.npz", **table)
    out = tmp_path / "out"
    found = run("cluster", "--from", tmp_path / "odd.npz", "--out", out, "--json").json
    face = found["people"][0]["faces"][0]
    assert face["source"] == "\\ud800.jpg"
    key = {"source": "\ud800.jpg", "box": face["box"]}
    corrections = {"format": "faceprint-corrections/1", "names": [[key, "Ada \udcff\ud800"]]}
    (tmp_path / "c.json").write_text(json.dumps(corrections))
    named = run("cluster", "--out", out, "--corrections", tmp_path / "c.json", "--json").json
    assert "Ada \\xff\\ud800" in {person["name"] for person in named["people"]}
