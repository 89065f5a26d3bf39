"""A license that is not free is shown, asked for once, and recorded."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from faceprint.errors import LicenseNotAcceptedError
from faceprint.zoo import catalog, licenses, store
from faceprint.zoo.card import ModelCard, ModelFile

BODY = b"weights"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "mine.onnx").write_bytes(BODY)
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_MIRROR", str(mirror))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    return tmp_path / "home"


@pytest.fixture
def card() -> ModelCard:
    file = ModelFile("mine.onnx", hashlib.sha256(BODY).hexdigest(), len(BODY))
    return replace(catalog.get_card("w600k-mbf"), files=(file,))


def test_refused_until_accepted(card: ModelCard, home: Path) -> None:
    with pytest.raises(LicenseNotAcceptedError) as error:
        store.ensure(card)
    for word in (card.license.weights, "--accept-license", "FACEPRINT_ACCEPT_LICENSE", "NO"):
        assert word in str(error.value)
    assert not (home / "models").exists()
    store.ensure(card, accept_license=True)
    store.ensure(card)
    (entry,) = json.loads((home / "licenses.json").read_text("utf-8"))["accepted"]
    assert entry["card"] == "w600k-mbf"
    assert entry["license"] == card.license.weights
    assert entry["files"] == {"mine.onnx": card.files[0].sha256}
    assert entry["how"] == "flag"
    assert entry["date"][:2] == "20"


def test_asked_again_when_files_or_license_change(card: ModelCard) -> None:
    licenses.require(card, accept=True)
    assert licenses.is_accepted(card)
    other_file = replace(card, files=(replace(card.files[0], sha256="0" * 64),))
    other_text = replace(card, license=replace(card.license, weights="something else"))
    assert not licenses.is_accepted(other_file)
    assert not licenses.is_accepted(other_text)


def test_environment(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")
    store.ensure(card)
    assert licenses.accepted()[0].how == "environment"
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "0")
    unclear = replace(card, id="other", license=replace(card.license, commercial_use="unclear"))
    with pytest.raises(LicenseNotAcceptedError, match="not clear"):
        store.ensure(unclear)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "answer, accepted", [("y\n", True), ("yes\n", True), ("n\n", False), ("", False)]
)
def test_prompt(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch, answer: str, accepted: bool
) -> None:
    screen = _Terminal()
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    monkeypatch.setattr(sys, "stderr", screen)
    if accepted:
        licenses.require(card)
        assert licenses.accepted()[0].how == "prompt"
    else:
        with pytest.raises(LicenseNotAcceptedError):
            licenses.require(card)
        assert licenses.accepted() == ()
    assert card.license.weights in screen.getvalue()


def test_a_pipe_is_never_asked(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(LicenseNotAcceptedError):
        licenses.require(card)


def test_a_damaged_record_accepts_nothing(card: ModelCard, home: Path) -> None:
    licenses.require(card, accept=True)
    (home / "licenses.json").write_text("{", "utf-8")
    assert licenses.accepted() == ()
    with pytest.raises(LicenseNotAcceptedError):
        licenses.require(card)


def test_free_models_ask_nothing() -> None:
    for card_id in ("dlib-resnet", "auraface", "yunet-2023mar", "ultraface-rfb-320"):
        licenses.require(catalog.get_card(card_id))
    assert licenses.accepted() == ()


def test_models_inside_the_package_ask_nothing_whatever_their_license() -> None:
    card = catalog.get_card("mtcnn")
    assert card.license.commercial_use == "unclear"
    licenses.require(card)
    fetched = replace(card, files=tuple(replace(file, bundled=False) for file in card.files))
    with pytest.raises(LicenseNotAcceptedError, match="not clear"):
        licenses.require(fetched)


@pytest.mark.parametrize(
    ("card_id", "reason"),
    [
        ("sface", "training data are undisclosed"),
        ("sface-int8", "stands unanswered"),
    ],
)
def test_a_grant_that_is_in_doubt_must_be_accepted(card_id: str, reason: str) -> None:
    with pytest.raises(LicenseNotAcceptedError, match=reason):
        licenses.require(catalog.get_card(card_id))
