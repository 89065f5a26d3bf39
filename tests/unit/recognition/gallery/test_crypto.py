"""Sealed records: opened where they belong and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from faceprint.errors import GalleryCorruptError, GalleryLockedError, UsageError
from faceprint.recognition.gallery.crypto import (
    Key,
    Sealer,
    key_from_environment,
    new_key,
    parse_key,
    read_key_file,
)

pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")

KEY = Key(bytes(range(32)))
CONTENT = b"\7" * 32


def test_a_record_opens_where_it_was_sealed() -> None:
    sealer = Sealer(KEY, "gallery", "model")
    sealed = sealer.seal(b"vector", "ada", CONTENT, "vector")
    assert sealer.open(sealed, "ada", CONTENT, "vector") == b"vector"
    assert b"vector" not in sealed


def test_it_is_aes_256_gcm_with_the_place_as_associated_data() -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = Sealer(KEY, "g", "m").seal(b"plain", "ada", CONTENT, "crop")
    parts = ("g", "m", "v2", "ada", CONTENT.hex(), "crop")
    bound = b"".join(len(p).to_bytes(4, "big") + p.encode() for p in parts)
    assert sealed[:1] == b"\2"
    assert AESGCM(bytes(range(32))).decrypt(sealed[1:13], sealed[13:], bound) == b"plain"


def test_every_record_has_a_nonce_of_its_own() -> None:
    sealer = Sealer(KEY, "gallery", "model")
    sealed = {sealer.seal(b"same", "ada", CONTENT, "vector") for _ in range(100)}
    assert len({record[1:13] for record in sealed}) == 100


@pytest.mark.parametrize(
    ("gallery", "model", "subject", "content", "field"),
    [
        ("other", "model", "ada", CONTENT, "vector"),
        ("gallery", "other", "ada", CONTENT, "vector"),
        ("gallery", "model", "bob", CONTENT, "vector"),
        ("gallery", "model", "ada", b"\6" * 32, "vector"),
        ("gallery", "model", "ada", CONTENT, "crop"),
    ],
)
def test_a_record_that_was_moved_does_not_open(
    gallery: str, model: str, subject: str, content: bytes, field: str
) -> None:
    sealed = Sealer(KEY, "gallery", "model").seal(b"vector", "ada", CONTENT, "vector")
    with pytest.raises(GalleryCorruptError):
        Sealer(KEY, gallery, model).open(sealed, subject, content, field)  # type: ignore[arg-type]


def test_a_changed_bit_anywhere_does_not_open() -> None:
    sealer = Sealer(KEY, "gallery", "model")
    sealed = sealer.seal(b"vector", "ada", CONTENT, "vector")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(GalleryCorruptError):
            sealer.open(bytes(changed), "ada", CONTENT, "vector")
    with pytest.raises(GalleryCorruptError):
        sealer.open(b"", "ada", CONTENT, "vector")


def test_keys_are_read_in_three_forms_and_never_shown(tmp_path: Path) -> None:
    secret = bytes(range(32))
    forms = (secret, secret.hex().encode() + b"\n", base64.b64encode(secret) + b"\n")
    assert {parse_key(form, "here").id for form in forms} == {KEY.id}
    assert secret.hex() not in repr(KEY) and KEY.id in repr(KEY)
    path = tmp_path / "key"
    made = new_key()
    path.write_text(made.text())
    assert read_key_file(path).id == made.id != KEY.id
    with pytest.raises(UsageError, match="is not a gallery key") as caught:
        parse_key(b"hunter2hunter2", "the key file")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(GalleryLockedError):
        read_key_file(tmp_path / "nowhere")


def test_the_key_comes_from_a_file_a_variable_or_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key_from_environment() is None
    text = base64.b64encode(bytes(range(32))).decode()
    monkeypatch.setenv("FACEPRINT_KEY_COMMAND", f"echo {text}")
    found = key_from_environment()
    assert found is not None and found.id == KEY.id
    monkeypatch.setenv("FACEPRINT_KEY", new_key().text())
    found = key_from_environment()
    assert found is not None and found.id != KEY.id
    path = tmp_path / "key"
    path.write_text(text)
    monkeypatch.setenv("FACEPRINT_KEY_FILE", str(path))
    found = key_from_environment()
    assert found is not None and found.id == KEY.id
    monkeypatch.delenv("FACEPRINT_KEY_FILE")
    monkeypatch.delenv("FACEPRINT_KEY")
    monkeypatch.setenv("FACEPRINT_KEY_COMMAND", "false")
    with pytest.raises(GalleryLockedError, match="exit code 1"):
        key_from_environment()
