"""The command line as users script it: keys, exit codes, one line on stderr and no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
ADA, ADA2, BEA = (str(SAMPLES / name) for name in ("obama.jpg", "obama2.jpg", "collins.jpg"))


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faceprint", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def document(*words: str, code: int = 0) -> Any:
    done = run(*words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(code: int, *words: str, **environment: str) -> str:
    """What a command says on stderr; nothing on stdout, no traceback."""
    done = run(*words, **environment)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert any(line.startswith(("faceprint: ", "Error: ")) for line in lines), done.stderr
    return done.stderr


def test_verify_says_match_and_no_match_by_its_exit_code() -> None:
    same = document("verify", ADA, ADA2)
    assert {"similarity", "threshold", "match", "fmr", "pack", "embedder", "faces"} <= set(same)
    assert same["match"] is True
    assert same["similarity"] >= same["threshold"]
    assert (same["pack"], same["embedder"]) == ("starter", "dlib-resnet")
    assert len(same["faces"]) == 2
    for face in same["faces"]:
        assert {"box", "score", "landmarks", "face_count"} <= set(face)
        assert np.shape(face["landmarks"]) == (5, 2)
        assert face["face_count"] == 1
    other = document("verify", ADA, BEA, code=1)
    assert other["match"] is False
    assert other["similarity"] < same["similarity"]


def test_verify_decides_where_it_is_told_to() -> None:
    assert document("verify", ADA, BEA, "--threshold", "0.0")["threshold"] == 0.0
    assert document("verify", ADA, ADA2, "--threshold", "1.0", code=1)["fmr"] is None
    strict = document("verify", ADA, ADA2, "--fmr", "1e-3", code=0)
    loose = document("verify", ADA, ADA2, "--fmr", "1e-2", code=0)
    assert (strict["fmr"], loose["fmr"]) == (1e-3, 1e-2)
    assert strict["threshold"] > loose["threshold"]
    assert (strict["evidence"], strict["provisional"]) == ("measured", False)
    assert strict["measured_on"]
    assert {"data_set", "fmr", "fnmr", "group", "group_fmr"} <= set(strict["measured_on"][0])
    assert strict["source"]
    given = document("verify", ADA, BEA, "--threshold", "0.0")
    assert (given["evidence"], given["measured_on"], given["fmr"]) == ("given", [], None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--fmr", "1e-3", "--threshold", "0.5"), "not both"),
        (("--fmr", "2"), "between 0 and 1"),
        (("--fmr", "1e-12"), "no threshold was measured"),
        (("--threshold", "nan"), "-1..1"),
        (("--faces", "some"), "largest, all, one"),
        (("--figure", "out.jpg"), "PNG"),
        (("--threads", "0"), "--threads"),
        (("--detector", "dlib-resnet"), "not for 'detect'"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], says: str) -> None:
    assert says in refused(2, "verify", ADA, BEA, *words)


def test_what_is_missing_ends_with_four() -> None:
    assert "nothing" in refused(4, "verify", ADA, BEA, "--pack", "nothing")
    assert "nothing" in refused(4, "verify", ADA, BEA, "--embedder", "nothing")
    line = refused(
        4,
        "verify",
        ADA,
        BEA,
        "--pack",
        "sface",
        "--threshold",
        "0.5",
        FACEPRINT_OFFLINE="1",
        FACEPRINT_ACCEPT_LICENSE="1",
    )
    assert "FACEPRINT_OFFLINE" in line or "offline" in line


def test_several_faces_follow_the_rule(tmp_path: Path) -> None:
    pair = np.hstack([np.asarray(PIL.Image.open(path).resize((500, 600))) for path in (ADA, BEA)])
    both = str(tmp_path / "both.png")
    PIL.Image.fromarray(pair).save(both)
    assert "2 faces" in refused(3, "verify", both, ADA2, "--faces", "one")
    best = document("verify", both, ADA2, "--faces", "all")
    assert best["match"]
    assert best["faces"][0]["face_count"] == 2
    assert best["faces"][0]["box"][0] < 500, "the face on the left is the one that matches"


def test_a_figure_is_written_whole(tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    assert run("verify", ADA, ADA2, "--figure", str(out)).returncode == 0
    assert PIL.Image.open(out).size == (1920, 1080)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_demo_shows_the_three_sets(tmp_path: Path) -> None:
    sets = document("demo", "--out", str(tmp_path / "figures"))["sets"]
    assert [entry["match"] for entry in sets] == [True, False, True]
    for entry in sets:
        assert {"name", "similarity", "match"} <= set(entry)
        assert PIL.Image.open(entry["figure"]).size == (1920, 1080)
    readme = Path(__file__).resolve().parents[2] / "README.md"
    shown = re.findall(r"^set \d .* similarity +(\S+) +threshold", readme.read_text(), re.MULTILINE)
    # The last digit may differ by the processor.
    assert [float(value) for value in shown] == pytest.approx(
        [entry["similarity"] for entry in sets], abs=1.5e-3
    )


def test_detect_prints_a_line_an_image_and_goes_on_after_a_bad_one(tmp_path: Path) -> None:
    bad = tmp_path / "notes.jpg"
    bad.write_text("not a photograph")
    done = run("detect", ADA, str(bad), BEA, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3
    assert [len(line["faces"]) for line in lines] == [1, 0, 1]
    assert [line["source"] for line in lines] == [ADA, str(bad), BEA]
    assert "not an image" in lines[1]["error"]
    assert {"box", "score", "landmarks", "quality"} <= set(lines[0]["faces"][0])
    assert (lines[0]["width"], lines[0]["height"]) == PIL.Image.open(ADA).size


def test_detect_can_leave_the_quality_out() -> None:
    (with_it,), (without,) = (
        json.loads(run("detect", ADA, "--json", *more).stdout)["faces"]
        for more in ((), ("--no-quality",))
    )
    assert with_it["quality"] is not None
    assert without == {**with_it, "quality": None}


def test_detect_draws_and_never_overwrites(tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    for _ in range(2):
        assert run("detect", ADA, "--draw", str(drawn)).returncode == 0
    assert sorted(path.name for path in drawn.iterdir()) == ["obama-2.png", "obama.png"]


def test_detect_says_when_nobody_is_there(tmp_path: Path) -> None:
    empty = str(tmp_path / "sky.png")
    PIL.Image.new("RGB", (320, 240), (120, 160, 220)).save(empty)
    done = run("detect", empty)
    assert (done.returncode, done.stdout) == (1, f"{empty}: 0 faces\n")
    assert "no face" in refused(3, "verify", empty, ADA)


def test_doctor_and_models_speak_json() -> None:
    report = document("doctor")
    assert report["version"]
    assert "starter" in {pack["name"] for pack in document("models", "list")["packs"]}
    assert document("models", "show", "dlib-resnet")["id"] == "dlib-resnet"


def test_help_of_every_command_names_its_options() -> None:
    from faceprint.cli.app import _COMMANDS

    for name in _COMMANDS:
        done = run(name, "--help")
        assert done.returncode == 0
        assert "--json" in done.stdout or "Commands" in done.stdout, name


def test_debug_shows_the_traceback() -> None:
    done = run("verify", "nowhere.jpg", ADA, "--debug")
    assert "Traceback" in done.stderr
    assert "SourceNotFoundError" in done.stderr
