"""`faceprint models` as a user types it: what is printed, what is kept, and the exit codes."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from example_card import CARD

from faceprint.cli.app import main

BODY = b"weights of mine"
SHA = hashlib.sha256(BODY).hexdigest()
MINE = CARD.replace("size = 10", f"size = {len(BODY)}").replace("0123456789abcdef" * 4, SHA)
ASKS = MINE.replace('"yes"', '"no"').replace('"MIT"', '"research only"')


class Terminal(io.StringIO):
    """Standard input of somebody who sits there."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "mine.onnx").write_bytes(BODY)
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_MIRROR", str(folder))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """The exit code, stdout and stderr of a command line."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["models", *map(str, words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(left.value.code or 0), out, err

    return call


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card beside no files; those come from the mirror."""
    (tmp_path / "cards").mkdir()
    path = tmp_path / "cards" / "mine.toml"
    path.write_text(MINE, "utf-8")
    return path


def test_list(run: Any) -> None:
    code, out, _ = run("list", "--json")
    document = json.loads(out)
    models = {row["id"]: row for row in document["models"]}
    assert code == 0
    assert models["mtcnn"]["ready"] is True
    weights = Path(str(resources.files("faceprint") / "zoo" / "weights")).glob("mtcnn_*.onnx")
    assert models["mtcnn"]["size"] == sum(path.stat().st_size for path in weights)
    assert models["scrfd-500m"]["commercial_use"] == "no"
    assert models["edgeface-xs"]["pinned"] is False
    assert models["edgeface-xs"]["size"] is None
    assert document["packs"][0] == {
        "name": "starter",
        "detector": "mtcnn",
        "embedder": "dlib-resnet",
        "description": "MTCNN and dlib's ResNet; ships inside the package",
    }
    code, out, _ = run("list")
    assert code == 0
    assert all(name in out for name in models)


def test_show(run: Any) -> None:
    code, out, _ = run("show", "yunet-2023mar", "--json")
    document = json.loads(out)
    assert (code, document["id"], document["ready"]) == (0, "yunet-2023mar", False)
    assert document["input"]["color"] == "BGR"
    assert document["license_accepted"] is True
    assert len(document["hash"]) == 64
    code, out, _ = run("show", "yunet-2023mar")
    assert code == 0
    assert document["files"][0]["sha256"] in out
    code, out, err = run("show", "yunet-2023")
    assert (code, out) == (4, "")
    assert "did you mean yunet-2023mar" in err


def test_add_pull_verify(run: Any, card: Path, tmp_path: Path) -> None:
    code, out, _ = run("add", card, "--json")
    document = json.loads(out)
    assert (code, document["id"], document["ready"], document["files"]) == (
        0,
        "my-model",
        False,
        [],
    )
    assert Path(document["card"]).is_file()
    kept = tmp_path / "home" / "models" / "mine.onnx"
    code, out, _ = run("pull", "my-model", "--json")
    assert code == 0
    assert json.loads(out) == {"pulled": [{"id": "my-model", "files": {"model": str(kept)}}]}
    assert kept.read_bytes() == BODY
    assert run("verify", "my-model")[0] == 0
    kept.write_bytes(BODY[::-1])
    code, out, _ = run("verify", "--json")
    states = {(row["id"], row["state"]) for row in json.loads(out)["files"]}
    assert code == 1
    assert ("my-model", "corrupt") in states
    assert ("dlib-resnet", "ok") in states
    assert all(state != "missing" for _, state in states)
    kept.unlink()
    assert run("verify")[0] == 0
    code, out, _ = run("verify", "my-model")
    assert (code, "missing" in out) == (1, True)


def test_files_beside_a_card_are_taken_along(run: Any, card: Path, mirror: Path) -> None:
    (mirror / "mine.onnx").rename(card.parent / "mine.onnx")
    code, out, err = run("add", card)
    assert code == 0
    assert "copied" in out
    assert err == ""
    assert run("verify", "my-model")[0] == 0


def test_adding_again_and_badly(run: Any, card: Path) -> None:
    assert run("add", card)[0] == 0
    code, _, err = run("add", card)
    assert (code, "choose another id" in err) == (4, True)
    assert run("add", card, "--replace")[0] == 0
    card.write_text(MINE.replace('"vector"', '"hypervector"'), "utf-8")
    code, _, err = run("add", card, "--replace")
    assert (code, "decoder is 'hypervector'" in err) == (4, True)
    assert run("add", card.with_name("none.toml"))[0] == 2


def test_a_license_is_shown_and_refused_without_a_yes(run: Any, card: Path, tmp_path: Path) -> None:
    card.write_text(ASKS, "utf-8")
    run("add", card)
    code, out, err = run("pull", "my-model")
    assert (code, out) == (4, "")
    assert "research only" in err
    assert "--accept-license" in err
    assert not (tmp_path / "home" / "models").exists()


@pytest.mark.parametrize("how", ["flag", "environment", "prompt"])
def test_a_license_is_accepted_once(
    run: Any, card: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.write_text(ASKS, "utf-8")
    run("add", card)
    with monkeypatch.context() as patch:
        if how == "environment":
            patch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")
        if how == "prompt":
            patch.setattr(sys, "stdin", Terminal("yes\n"))
            patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        code, _, _ = run("pull", "my-model", *(["--accept-license"] if how == "flag" else []))
        assert code == 0
    assert run("pull", "my-model")[0] == 0
    code, out, _ = run("licenses", "--json")
    document = json.loads(out)
    (entry,) = document["accepted"]
    assert (code, entry["card"], entry["license"]) == (0, "my-model", "research only")
    assert (entry["how"], entry["files"]) == (how, {"mine.onnx": SHA})
    accepted = {row["id"]: row["accepted"] for row in document["models"]}
    assert accepted["my-model"]
    assert not accepted["scrfd-500m"]
    code, out, _ = run("licenses")
    assert f"by {how}" in out


def test_a_license_accepted_by_flag_is_shown_all_the_same(
    run: Any, card: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card.write_text(ASKS, "utf-8")
    run("add", card)
    run("pull", "my-model", "--accept-license")
    assert "research only" in caplog.text
    assert "commercial use: NO" in caplog.text


def test_offline_says_what_to_copy_where(
    run: Any, card: Path, mirror: Path, tmp_path: Path
) -> None:
    (mirror / "mine.onnx").unlink()
    run("add", card)
    code, out, err = run("pull", "my-model")
    assert (code, out) == (4, "")
    target = tmp_path / "home" / "models" / "mine.onnx"
    for fact in ("FACEPRINT_OFFLINE", "FACEPRINT_MIRROR", SHA, f"{len(BODY)} bytes", str(target)):
        assert fact in err
    assert "https://example.org/mine.onnx" in err
    # and doing what it says is enough
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(BODY)
    assert run("pull", "my-model")[0] == 0


def test_offline_and_in_an_archive_either_file_will_do(run: Any, tmp_path: Path) -> None:
    code, _, err = run("pull", "w600k-mbf", "--accept-license")
    assert code == 4
    for name in ("w600k_mbf.onnx", "buffalo_s.zip"):
        assert str(tmp_path / "home" / "models" / name) in err


def test_an_unpinned_file_that_was_copied_by_hand(run: Any, card: Path, tmp_path: Path) -> None:
    card.write_text(MINE.replace(f'sha256 = "{SHA}"\n', ""), "utf-8")
    run("add", card)
    kept = tmp_path / "home" / "models" / "mine.onnx"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(BODY)
    code, _, err = run("pull", "my-model")
    assert (code, "--allow-unpinned" in err) == (4, True)
    code, out, _ = run("verify", "my-model", "--json")
    assert (code, json.loads(out)["files"][0]["state"]) == (0, "unpinned")
    assert run("pull", "my-model", "--allow-unpinned")[0] == 0
    assert run("pull", "my-model")[0] == 0
    kept.write_bytes(BODY[::-1])
    assert run("verify", "my-model")[0] == 1


def test_a_pack_is_its_two_models(run: Any) -> None:
    code, out, _ = run("pull", "starter", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)["pulled"]] == ["mtcnn", "dlib-resnet"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("pull",), 2),
        (("pull", "no-such-model"), 4),
        (("pull", "sface"), 4),
        (("list", "--bogus"), 2),
        (("nonsense",), 2),
        (("show",), 2),
        (("lint", "none.onnx"), 2),
        (("parity", "none.onnx"), 4),
        (("parity", "no-such-model", "--runtimes", "opencv"), 4),
        (("parity", "dlib-resnet", "--runtimes", "abacus"), 2),
    ],
)
def test_exit_codes(run: Any, words: tuple[str, ...], code: int) -> None:
    found, out, err = run(*words)
    assert found == code
    assert out == ""
    assert err.strip()


def test_manifest(run: Any, tmp_path: Path, mirror: Path) -> None:
    rows = [
        {"model": "Mine", "model_path": "a/b/mine.onnx", "metadata": {"model_sha": SHA}},
    ]
    manifest = tmp_path / "ONNX_HUB_MANIFEST.json"
    manifest.write_text(json.dumps(rows), "utf-8")
    code, out, err = run("pull", "mine", "--manifest", manifest, "--json")
    (row,) = json.loads(out)["pulled"]
    assert (code, row["id"]) == (0, None)
    assert Path(row["files"]["model"]).read_bytes() == BODY
    assert "models lint" in err
    assert run("pull", "other", "--manifest", manifest)[0] == 4
    code, _, err = run("pull", "mine", "--manifest", manifest, "--base-url", "ftp://x")
    assert (code, "ftp" in err) == (2, True)


def test_manifest_finds_the_card_that_knows_the_file(
    run: Any, tmp_path: Path, shared_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    sha256 = "34cd7e60aeff28744c657de7a3dc64e872d506741de66987f3426f2b79f88017"
    path = "validated/vision/body_analysis/ultraface/models/version-RFB-320.onnx"
    rows = [{"model": "Ultra", "model_path": path, "metadata": {"model_sha": sha256}}]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(rows), "utf-8")
    code, out, _ = run("pull", "version-RFB-320", "--manifest", manifest, "--json")
    assert (code, json.loads(out)["pulled"][0]["id"]) == (0, "ultraface-rfb-320")


def test_the_catalogs_own_cards_come_from_the_mirror(
    run: Any, shared_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    ids = ["yunet-2023mar", "ultraface-rfb-320", "scrfd-500m", "scrfd-2.5g", "retinaface-mnet025"]
    for card_id in [*ids, "mobileface"]:
        assert run("pull", card_id, "--accept-license")[0] == 0
    assert run("verify", *ids, "mobileface")[0] == 0
