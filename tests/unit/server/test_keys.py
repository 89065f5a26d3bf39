"""API keys: hashed at rest, shown once, of a scope, and gone when revoked or expired."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from faceprint.errors import InputError, UsageError
from faceprint.server import keys
from faceprint.server.keys import KeyFile


@pytest.fixture
def stored(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def test_a_key_is_found_and_its_text_is_not_on_disk(stored: KeyFile) -> None:
    secret, key = stored.create("door", ["identify"])
    assert stored.find(secret) == key
    text = stored.path.read_text()
    assert secret not in text and secret.rpartition("_")[2] not in text
    assert stat.S_IMODE(stored.path.stat().st_mode) == 0o600


def test_keys_have_256_random_bits(stored: KeyFile) -> None:
    secrets = [stored.create(str(number), ["read"])[0] for number in range(4)]
    # 32 bytes in base 32 are 52 letters.
    assert {len(secret.rpartition("_")[2]) for secret in secrets} == {52}
    assert len(set(secrets)) == 4


@pytest.mark.parametrize(
    "wrong",
    ["", "fp", "fp__", "fp_aaaaaaaa_bbbb", "Bearer", "\udce4", "\ud800", "fp_" + "a" * 100_000],
)
def test_anything_else_is_nobody(wrong: str, stored: KeyFile) -> None:
    stored.create("door", ["identify"])
    assert stored.find(wrong) is None


def test_one_letter_off_is_nobody(stored: KeyFile) -> None:
    secret, _ = stored.create("door", ["identify"])
    last = "a" if secret[-1] != "a" else "b"
    assert stored.find(secret[:-1] + last) is None
    assert stored.find(secret + "a") is None


def test_a_revoked_key_is_nobody_in_a_process_that_has_read_the_file(stored: KeyFile) -> None:
    secret, key = stored.create("door", ["identify"])
    running = KeyFile(stored.path)
    assert running.find(secret) is not None
    stored.revoke(key.id)
    assert running.find(secret) is None
    with pytest.raises(UsageError, match=key.id):
        stored.revoke(key.id)


def test_an_expired_key_is_nobody(stored: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    secret, _ = stored.create("door", ["identify"], now + timedelta(days=1))
    assert stored.find(secret) is not None

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now + timedelta(days=2)

    monkeypatch.setattr(keys, "datetime", Later)
    assert stored.find(secret) is None


@pytest.mark.parametrize("scopes", [[], ["admin"], ["read", "everything"]])
def test_scopes_are_checked(scopes: list[str], stored: KeyFile) -> None:
    with pytest.raises(UsageError, match="scope"):
        stored.create("door", scopes)
    assert not stored.path.exists()


def test_a_moment_that_has_passed_is_refused(stored: KeyFile) -> None:
    with pytest.raises(UsageError, match="passed"):
        stored.create("door", ["read"], datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "other", "keys": []}', "\x00"])
def test_a_file_of_something_else_is_named(text: str, stored: KeyFile) -> None:
    stored.path.write_text(text)
    with pytest.raises(InputError, match=r"keys\.json"):
        stored.all()


def test_unknown_fields_are_refused(stored: KeyFile) -> None:
    stored.create("door", ["read"])
    document = json.loads(stored.path.read_text())
    document["keys"][0]["surprise"] = 1
    stored.path.write_text(json.dumps(document))
    with pytest.raises(InputError):
        stored.all()
