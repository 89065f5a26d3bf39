"""Training on real photographs of a dozen people, from the folder to a card in the zoo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import CommandLine

pytest.importorskip("torch", reason="faceprint[train] is not installed")
pytest.importorskip("onnx", reason="faceprint[train] is not installed")

RUN = """
out = "run"
[data]
folder = "people"
store = "store"
against = ["others"]
[network]
name = "mobilefacenet"
width = 0.5
dim = 64
[loss]
margin = 0.3
scale = 16
[augmentation]
color = 0.2
jpeg = 0.1
mask = 0.1
glasses = 0.1
[schedule]
epochs = 6
batch = 16
rate = 0.05
warmup_epochs = 0.5
threads = 1
log_every = 5
"""


@pytest.mark.slow
def test_a_dozen_people_from_photographs_to_a_card(
    shared_faces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))  # its card is no other test's
    faceprint = CommandLine(capsys)
    folders = sorted((shared_faces / "lfw").iterdir())
    counted = [(path, len(list(path.glob("*.jpg")))) for path in folders if path.is_dir()]
    people = [path for path, count in counted if 6 <= count <= 7][:12]
    others = [path for path, count in counted if count == 3][:10]
    for name, chosen in (("people", people), ("others", others)):
        for path in chosen:
            shutil.copytree(path, tmp_path / name / path.name)
    stray = next((tmp_path / "others").glob("*/*.jpg"))
    strangers = tmp_path / "people" / people[0].name
    shutil.copy(stray, strangers / "stray.jpg")

    words = ("train", "check", tmp_path / "people", "--store", tmp_path / "store")
    report = faceprint(*words, "--against", tmp_path / "others", "--json", code=1).json
    assert report["people"] == 12
    # In the second photograph the largest face is that of a man behind her.
    behind = "Christine_Todd_Whitman/Christine_Todd_Whitman_0005.jpg"
    assert report["outliers"] == [f"{people[0].name}/stray.jpg", behind]
    assert report["probably_one"] == []
    assert [(s["person"], s["why"]) for s in report["shared"]] == [(people[0].name, "photograph")]
    (strangers / "stray.jpg").unlink()

    (tmp_path / "run.toml").write_text(RUN)
    faceprint("train", tmp_path / "run.toml")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    out = tmp_path / "dozen.onnx"
    words = ("train", "export", tmp_path / "run.toml", "--out", out, "--name", "dozen")
    license_words = ("--license", "of my own", "--commercial-use", "yes")
    assert faceprint(*words, *license_words, "--json").json["difference"] < 1e-4
    photo, other = sorted((tmp_path / "people" / people[1].name).iterdir())[:2]
    same = faceprint("verify", photo, other, "--embedder", "dozen", "--threshold", "-1", "--json")
    assert same.json["embedder"] == "dozen"
