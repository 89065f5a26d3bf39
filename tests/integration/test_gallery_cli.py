"""`enroll`, `identify` and `gallery` on real photographs with the models that ship."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gallery_kit import FakeAnalyzer

from faceprint.cli.app import main
from faceprint.recognition.gallery import Gallery

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: exit code and what it printed on stdout."""

    def command(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return int(ended.value.code or 0), capsys.readouterr().out

    return command


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_enroll_and_identify(run: Run, tmp_path: Path, shared_samples: Path) -> None:
    db = tmp_path / "people.db"
    code, out = run("enroll", db, "obama", shared_samples / "obama.jpg", "--json")
    assert code == 0
    assert lines(out) == [
        {
            "subject": "obama",
            "template": "1",
            "source": str(shared_samples / "obama.jpg"),
            "new": True,
            "face_count": 1,
        }
    ]
    code, out = run(
        "enroll", db, "biden", shared_samples / "biden.jpg", tmp_path / "gone.jpg", "--json"
    )
    assert code == 3
    good, bad = lines(out)
    assert good["template"] == "2"
    assert bad["template"] is None and "gone.jpg" in bad["reason"]

    code, out = run("identify", db, shared_samples / "obama2.jpg", "--json", "--top", 1)
    (found,) = lines(out)
    assert code == 0
    assert found["subject"] == "obama" and found["similarity"] >= found["threshold"]
    assert found["candidates"] == [
        {"subject": "obama", "template": "1", "similarity": found["similarity"], "rank": 1}
    ]
    assert len(found["box"]) == 4

    code, out = run("identify", db, shared_samples / "astronaut.png", "--json")
    (stranger,) = lines(out)
    assert code == 1
    assert stranger["subject"] is None and len(stranger["candidates"]) == 2
    code, out = run("identify", db, tmp_path / "gone.jpg", shared_samples / "obama2.jpg", "--json")
    assert code == 3
    failed, found = lines(out)
    assert "error" in failed and found["subject"] == "obama"


def test_a_folder_of_people_and_the_housekeeping(
    run: Run, tmp_path: Path, shared_samples: Path
) -> None:
    for name, sample in (("ada", "obama.jpg"), ("bob", "biden.jpg")):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / sample).symlink_to(shared_samples / sample)
    db, key, new = tmp_path / "g.db", tmp_path / "key", tmp_path / "new"
    assert run("gallery", "keygen", key)[0] == 0
    assert run("gallery", "keygen", key)[0] == 2
    assert key.stat().st_mode & 0o077 == 0
    assert run("gallery", "keygen", new)[0] == 0
    enroll = ("enroll", db, "--from", tmp_path / "in", "--key-file", key, "--keep-crops")
    assert run(*enroll, "--consent", "written consent", "--json")[0] == 0
    assert run("gallery", "list", db)[0] == 4
    _, out = run("gallery", "list", db, "--key-file", key, "--json")
    document = json.loads(out)
    assert [s["subject"] for s in document["subjects"]] == ["ada", "bob"]
    assert document["encrypted"] and document["subjects"][0]["consent"]["basis"]

    assert run("gallery", "rekey", db, "--key-file", key, "--new-key-file", new)[0] == 0
    assert run("gallery", "verify", db, "--key-file", key)[0] == 4
    assert json.loads(run("gallery", "verify", db, "--key-file", new, "--json")[1])["ok"]
    shown = json.loads(run("gallery", "show", db, "ada", "--key-file", new, "--json")[1])
    assert shown["templates"][0]["crop"] is True
    assert run("gallery", "show", db, "eve", "--key-file", new)[0] == 1
    own = tmp_path / "ada.json"
    assert run("gallery", "show", db, "ada", "--export", own, "--key-file", new)[0] == 0
    assert len(json.loads(own.read_text())["templates"][0]["vector"]) == 128
    assert own.stat().st_mode & 0o077 == 0

    export = tmp_path / "out.jsonl"
    assert run("gallery", "export", db, export, "--key-file", new)[0] == 0
    assert run("gallery", "export", db, tmp_path / "out.pkl", "--key-file", new)[0] == 2
    copy = tmp_path / "copy.db"
    assert json.loads(run("gallery", "import", copy, export, "--json")[1])["templates"] == 2
    assert json.loads(run("gallery", "policy", copy, "--retention-days", 9, "--json")[1]) == {
        "require_consent": False,
        "retention_days": 9,
        "keep_crops": False,
        "max_templates": None,
    }
    assert json.loads(run("gallery", "remove", copy, "--older-than", "1d", "--json")[1]) == {
        "templates": 0,
        "cached": 0,
    }
    assert json.loads(run("gallery", "remove", copy, "ada", "--json")[1])["templates"] == 1
    assert run("gallery", "remove", copy, "ada")[0] == 1
    assert run("gallery", "remove", copy)[0] == 2
    assert run("gallery", "remove", copy, "--older-than", "soon")[0] == 2

    _, out = run("gallery", "audit", copy, "--json")
    assert [line["action"] for line in lines(out)] == [
        "create",
        "new-subject",
        "new-subject",
        "import",
        "policy",
        "remove-subject",
    ]
    report = json.loads(run("gallery", "audit", copy, "--verify", "--json")[1])
    assert report["ok"] and report["entries"] == 6
    assert run("gallery", "audit", copy, "--anchor", report["anchor"])[0] == 0
    assert run("gallery", "audit", copy, "--anchor", "6:" + "0" * 64)[0] == 1


def test_subjects_are_renamed_merged_updated_and_copied(run: Run, tmp_path: Path) -> None:
    db, copy = tmp_path / "g.db", tmp_path / "copy.db"
    with Gallery.open(db, FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1", metadata={"team": "blue", "old": 1})
        gallery.enroll("lovelace", b"ada/2", metadata={"team": "red"})
        gallery.enroll("bob", b"bob/1")

    assert json.loads(run("gallery", "rename", db, "bob", "Bob", "--json")[1])["subject"] == "Bob"
    assert run("gallery", "rename", db, "lovelace", "ada")[0] == 2
    assert run("gallery", "rename", db, "eve", "adam")[0] == 1

    merge = ("gallery", "merge", db, "ada", "lovelace")
    merged = json.loads(run(*merge, "--json")[1])
    assert (merged["subject"], merged["templates"], merged["moved"]) == ("ada", 2, 1)
    assert len(merged["conflicts"]) == 1
    assert run(*merge)[0] == 1

    update = ("gallery", "update", db, "ada", "--json")
    edit = ("--metadata", "team=green", "--metadata", "old=", "--consent", "contract")
    assert json.loads(run(*update, *edit)[1])["metadata"] == {"team": "green"}
    changed = json.loads(run(*update, "--consent-expires", "2999-01-01")[1])
    assert changed["consent"]["basis"] == "contract"
    assert changed["consent"]["expires"].startswith("2999-01-01")
    assert json.loads(run(*update, "--metadata", '{"a": 1}')[1])["metadata"] == {"a": 1}
    assert run(*update)[0] == 2
    assert run(*update, "--metadata", "[1]")[0] == 2
    assert run("gallery", "update", db, "Bob", "--consent-expires", "2999-01-01")[0] == 2

    would = json.loads(run("gallery", "remove", db, "Bob", "--dry-run", "--json")[1])
    assert would == {
        "templates": 1,
        "subjects": ["Bob"],
        "removed": [{"template": "3", "subject": "Bob"}],
    }
    saved = json.loads(run("gallery", "backup", db, copy, "--json")[1])
    assert saved == {"file": str(copy), "templates": 3}
    assert run("gallery", "backup", db, copy)[0] == 3
    assert json.loads(run("gallery", "list", copy, "--json")[1])["subjects"][1]["subject"] == "ada"
    assert run("gallery", "rename", db, "ada", "x" * 300)[0] == 2


def test_a_folder_is_identified_drawn_and_listed(
    run: Run, tmp_path: Path, shared_samples: Path
) -> None:
    db, album, drawn = tmp_path / "g.db", tmp_path / "album", tmp_path / "drawn"
    (album / "sub").mkdir(parents=True)
    for sample in ("obama2.jpg", "astronaut.png"):
        (album / "sub" / sample).symlink_to(shared_samples / sample)
    assert run("enroll", db, "obama", shared_samples / "obama.jpg")[0] == 0
    assert run("enroll", db, "biden", shared_samples / "biden.jpg")[0] == 0
    table = tmp_path / "day.csv"
    words = ("identify", db, album, "--draw", drawn, "--attendance", table, "--top", 2)
    code, out = run(*words)
    assert code == 0
    assert sorted(path.name for path in drawn.iterdir()) == ["astronaut.png", "obama2.png"]
    stranger, first, second, known, third, fourth = out.splitlines()
    assert "a stranger" in stranger and ": obama (" in known
    assert [line.split()[0] for line in (first, second, third, fourth)] == ["1:", "2:", "1:", "2:"]
    assert third.split()[1] == "obama"
    rows = list(csv.reader(table.read_text("utf-8").splitlines()))
    assert rows[0] == ["subject", "present", "photographs", "best_similarity", "first_source"]
    assert rows[1] == ["biden", "no", "0", "", ""]
    assert rows[2][:3] == ["obama", "yes", "1"]
    assert rows[2][4] == str(album / "sub" / "obama2.jpg")
    assert len(lines(run("identify", db, album, "--json")[1])) == 2
    (tmp_path / "empty").mkdir()
    assert run("identify", db, tmp_path / "empty") == (1, "")


def test_a_folder_is_detected(run: Run, tmp_path: Path, shared_samples: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.jpg").symlink_to(shared_samples / "obama.jpg")
    (tmp_path / "in" / "b.png").symlink_to(shared_samples / "astronaut.png")
    code, out = run("detect", tmp_path / "in", "--exclude", "*.png", "--json")
    assert code == 0
    assert [line["source"] for line in lines(out)] == [str(tmp_path / "in" / "sub" / "a.jpg")]
    (tmp_path / "empty").mkdir()
    assert run("detect", tmp_path / "empty")[0] == 1


def test_a_gallery_opens_with_the_embedder_that_made_it(
    run: Run,
    tmp_path: Path,
    shared_samples: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    db, sample = tmp_path / "g.db", shared_samples / "obama.jpg"
    assert run("enroll", db, "obama", sample)[0] == 0
    monkeypatch.setenv("FACEPRINT_PACK", "mobileface")
    (found,) = lines(run("identify", db, sample, "--json")[1])
    assert found["subject"] == "obama"
    assert run("enroll", db, "biden", shared_samples / "biden.jpg")[0] == 0
    assert run("identify", db, sample, "--pack", "mobileface")[0] == 4

    foreign = tmp_path / "foreign.db"
    Gallery.open(foreign, FakeAnalyzer()).close()
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["identify", str(foreign), str(sample)])
    assert ended.value.code == 4
    assert "belongs to the embedder 'model-a', which is no model here" in capsys.readouterr().err


def test_usage_that_can_not_be_meant(run: Run, tmp_path: Path, shared_samples: Path) -> None:
    db, sample = tmp_path / "g.db", shared_samples / "obama.jpg"
    assert run("enroll", db)[0] == 2
    assert run("enroll", db, "ada")[0] == 2
    assert run("enroll", db, "ada", sample, "--from", tmp_path)[0] == 2
    assert run("enroll", db, "ada", sample, "--consent-expires", "2030-01-01")[0] == 2
    assert run("enroll", db, "ada", sample, "--metadata", "[1]")[0] == 2
    (tmp_path / "empty").mkdir()
    assert run("enroll", db, "ada", tmp_path / "empty")[0] == 2
    assert not db.exists()
    assert run("identify", db, sample)[0] == 2
    assert run("gallery", "list", db)[0] == 3
    assert not db.exists()
    (tmp_path / "other.db").write_bytes(b"something else")
    assert run("identify", tmp_path / "other.db", sample)[0] == 3


def test_a_line_is_printed_once_its_template_is_on_disk(
    tmp_path: Path, shared_samples: Path
) -> None:
    """The reader opens the gallery itself while `enroll` is still under way."""
    db = tmp_path / "g.db"
    folder = tmp_path / "photographs"
    folder.mkdir()
    original = (shared_samples / "obama.jpg").read_bytes()
    for number in range(36):  # more than a batch, each with bytes of its own
        (folder / f"{number:02}.jpg").write_bytes(original + bytes([number]))
    words = ["enroll", str(db), "obama", str(folder), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "faceprint", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    with Gallery.open(db) as gallery:
        assert first["template"] in [row.id for row in gallery.show("obama")[1]]
        assert gallery.verify_audit().intact
    rest = lines(process.stdout.read())
    assert process.wait() == 0
    assert len(rest) == 35


def test_a_group_is_enrolled_with_a_word_about_it(
    tmp_path: Path, shared_faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = shared_faces / "insightface" / "t1.jpg"
    with pytest.raises(SystemExit):
        main(["enroll", str(tmp_path / "g.db"), "ada", str(group)])
    assert "6 faces, the largest was enrolled; see --faces" in capsys.readouterr().err


def test_two_people_are_enrolled_from_one_photograph(
    run: Run, tmp_path: Path, shared_faces: Path
) -> None:
    db, group = tmp_path / "g.db", shared_faces / "insightface" / "t1.jpg"
    assert run("enroll", db, "ada", group, "--face", 1)[0] == 0
    assert run("enroll", db, "bob", group)[0] == 3
    (second,) = lines(run("enroll", db, "bob", group, "--face", 2, "--json")[1])
    assert second["new"] is True
    faces = lines(run("detect", group, "--json")[1])[0]["faces"]
    for name, face in (("ada", faces[0]), ("bob", faces[1])):
        shown = json.loads(run("gallery", "show", db, name, "--json")[1])
        assert shown["templates"][0]["box"] == pytest.approx(face["box"], abs=1)
    assert run("enroll", db, "ada", group, "--face", "9" * 30)[0] == 2
    assert run("enroll", db, "ada", group, "--face", "first")[0] == 2


def test_people_are_named_by_the_numbers_of_their_faces(
    run: Run, tmp_path: Path, shared_faces: Path
) -> None:
    db, group = tmp_path / "g.db", shared_faces / "insightface" / "t1.jpg"
    assert run("enroll", db, group, "--as", "1=ada", "--as", "7=bob")[0] == 3
    assert not db.exists()
    code, out = run("enroll", db, group, "--as", "3=ada = 3", "--as", "1=bob", "--json")
    assert code == 0
    assert [(line["subject"], line["new"]) for line in lines(out)] == [
        ("ada = 3", True),
        ("bob", True),
    ]
    faces = lines(run("detect", group, "--json")[1])[0]["faces"]
    for name, face in (("ada = 3", faces[2]), ("bob", faces[0])):
        shown = json.loads(run("gallery", "show", db, name, "--json")[1])
        assert shown["templates"][0]["box"] == pytest.approx(face["box"], abs=1)
    again = lines(run("enroll", db, group, "--as", "3=ada = 3", "--as", "2=cid", "--json")[1])
    assert [line["new"] for line in again] == [False, True]
    assert run("enroll", db, group, "--as", "3=eve")[0] == 3


@pytest.mark.parametrize(
    "words",
    [
        ("--as", "ada"),
        ("--as", "0=ada"),
        ("--as", "1="),
        ("--as", "1=ada", "--as", "1=bob"),
        ("--as", "1=ada", "--as", "2=ada"),
        ("--as", "1=ada", "--face", "2"),
        ("--as", "1=ada", "other.jpg"),
        ("--as", "1=ada", "--from", "people"),
    ],
)
def test_names_by_number_are_checked_first(
    words: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    assert run("enroll", tmp_path / "g.db", "a.jpg", *words)[0] == 2
    assert run("enroll", tmp_path / "g.db", "--as", "1=ada")[0] == 2
    assert not (tmp_path / "g.db").exists()


def test_the_named_people_of_an_album_are_enrolled(
    run: Run, tmp_path: Path, shared_samples: Path
) -> None:
    album, db = tmp_path / "album", tmp_path / "g.db"
    samples = [shared_samples / name for name in ("obama.jpg", "obama2.jpg", "biden.jpg")]
    code, out = run("cluster", *samples, "--out", album, "--json")
    assert code == 0
    assert run("enroll", db, "--from-album", album)[0] == 2
    faces = json.loads(out)["people"][0]["faces"]
    fix = {
        "format": "faceprint-corrections/1",
        "names": [[{"source": faces[0]["source"], "box": faces[0]["box"]}, "Barack"]],
    }
    (tmp_path / "fix.json").write_text(json.dumps(fix))
    assert run("cluster", "--out", album, "--corrections", tmp_path / "fix.json")[0] == 0
    done = lines(run("enroll", db, "--from-album", album, "--json")[1])
    assert {line["subject"] for line in done} == {"Barack"}
    assert {line["source"] for line in done} == {str(s) for s in samples[:2]}
    again = lines(run("enroll", db, "--from-album", album, "--per-person", 1, "--json")[1])
    assert [line["new"] for line in again] == [False]
    assert lines(run("identify", db, samples[0], "--json")[1])[0]["subject"] == "Barack"
    assert run("enroll", db, "--from-album", tmp_path / "gone")[0] == 3
    assert run("enroll", db, "--from-album", album, "--from", album)[0] == 2


def test_known_photographs_are_counted_apart(
    tmp_path: Path, shared_samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db, photograph = tmp_path / "g.db", shared_samples / "obama.jpg"
    said = []
    for expires in ("2026-01-01", "2999-01-01"):
        words = ["enroll", str(db), "obama", str(photograph), "--consent", "paper"]
        with pytest.raises(SystemExit) as ended:
            main([*words, "--consent-expires", expires])
        assert not ended.value.code
        said.append(capsys.readouterr())
    assert "1 new, 0 known, 0 not used" in said[0].err
    assert "0 new, 1 known, 0 not used" in said[1].err
    assert "already enrolled" in said[1].out
    with Gallery.open(db) as gallery:
        held = gallery.show("obama")[0].consent
        assert held is not None and held.expires == "2999-01-01T00:00:00.000000Z"


def test_a_backup_a_look_at_the_cache_and_rows_that_are_vouched_for(
    run: Run, tmp_path: Path, shared_samples: Path
) -> None:
    import sqlite3

    db, copy = tmp_path / "g.db", tmp_path / "copy.db"
    assert run("enroll", db, "obama", shared_samples / "obama.jpg")[0] == 0
    code, out = run("gallery", "backup", db, copy, "--json")
    assert (code, json.loads(out)) == (0, {"file": str(copy), "templates": 1})
    assert run("gallery", "backup", db, copy)[0] == 3
    with sqlite3.connect(copy) as file:
        file.execute("UPDATE subjects SET name = 'barack'")
    assert run("identify", copy, shared_samples / "obama2.jpg")[0] == 3
    assert run("gallery", "verify", copy)[0] == 1
    assert run("gallery", "verify", copy, "--accept")[0] == 0
    assert run("identify", copy, shared_samples / "obama2.jpg")[0] == 0
    code, out = run("cache", "show", "--json")
    assert code == 0 and set(json.loads(out)) == {"folder", "files"}
