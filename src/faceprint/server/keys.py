"""API keys: made and shown once, kept as hashes in a file that only its owner can read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from faceprint import settings
from faceprint._files import atomic_write
from faceprint._text import check_text
from faceprint.errors import InputError, UsageError
from faceprint.zoo.locks import exclusive

__all__ = ["SCOPES", "ApiKey", "KeyFile", "Scope", "default_key_file"]

Scope = Literal["read", "identify", "write", "embed"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a key may be allowed: look at models and subjects; detect, compare and search; enroll and
remove; and get embeddings."""

_FORMAT = "faceprint-api-keys/1"
_NOBODY = hashlib.sha256(b"").hexdigest()
"""Compared with when no key has the id, so that an unknown id takes as long as a known one."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key: all but the key.

    Attributes:
        id: eight letters that begin the key and name it in logs and lists.
        name: what its owner calls it.
        scopes: what it allows.
        sha256: of the whole key, in hexadecimal. It has 256 random bits, so a fast hash will do.
        created, expires: ISO 8601 in UTC; `expires` is None for a key without an end.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created: str
    expires: str | None = None

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or moment < datetime.fromisoformat(self.expires)


def default_key_file() -> Path:
    """Where keys are kept when nothing else is said: `api-keys.json` in FACEPRINT_HOME."""
    return settings.home() / "api-keys.json"


class KeyFile:
    """The keys of a service. Changes by other processes are seen at the next question.

    Args:
        path: need not exist; there are no keys then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def create(
        self, name: str, scopes: Iterable[str], expires: datetime | None = None
    ) -> tuple[str, ApiKey]:
        """Make a key and keep its hash.

        Returns:
            the key itself, which nothing can show again, and what was kept.

        Raises:
            UsageError: no scope or an unknown one, or a moment that has passed.
        """
        wanted = tuple(dict.fromkeys(scopes))
        unknown = [scope for scope in wanted if scope not in SCOPES]
        if unknown or not wanted:
            raise UsageError(
                f"unknown scope {', '.join(unknown)}; choose from {', '.join(SCOPES)}"
                if unknown
                else f"a key needs at least one scope of {', '.join(SCOPES)}"
            )
        now = datetime.now(UTC)
        if expires is not None and expires <= now:
            raise UsageError(f"{expires.isoformat()} has passed; the key could never be used")
        id = _letters(5)
        secret = f"fp_{id}_{_letters(32)}"
        kept = ApiKey(
            id,
            check_text(name, "a key's name"),
            tuple(scope for scope in SCOPES if scope in wanted),
            _hash(secret),
            now.isoformat(timespec="seconds"),
            None if expires is None else expires.astimezone(UTC).isoformat(timespec="seconds"),
        )
        with self._changing():
            self._write([*self.all(), kept])
        return secret, kept

    def revoke(self, id: str) -> ApiKey:
        """Delete a key; whoever holds it is refused from now on.

        Raises:
            UsageError: there is no key of that id.
        """
        with self._changing():
            keys = self.all()
            gone = next((key for key in keys if key.id == id), None)
            if gone is None:
                raise UsageError(f"there is no key {id}; see `faceprint serve keys list`")
            self._write([key for key in keys if key.id != id])
        return gone

    def all(self) -> list[ApiKey]:
        """Every key, oldest first, expired ones too.

        Raises:
            InputError: the file is not a file of keys.
        """
        self._refresh()
        return list(self._keys.values())

    def find(self, secret: str) -> ApiKey | None:
        """The valid key that this is; None for an unknown, revoked or expired one.

        Takes the same time whether the id or the rest is wrong.
        """
        self._refresh()
        parts = secret.split("_", 2)
        key = self._keys.get(parts[1]) if len(parts) == 3 else None
        same = hmac.compare_digest(_hash(secret), _NOBODY if key is None else key.sha256)
        if key is None or not same or not key.is_valid_at(datetime.now(UTC)):
            return None
        return key

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._keys = {key.id: key for key in _read(self.path)}
            self._stamp = stamp

    def _changing(self) -> AbstractContextManager[None]:
        return exclusive(self.path.with_name(f"{self.path.name}.lock"), what=str(self.path))

    def _write(self, keys: list[ApiKey]) -> None:
        document = {"format": _FORMAT, "keys": [asdict(key) for key in keys]}
        atomic_write(self.path, json.dumps(document, indent=2) + "\n", private=True)


def _read(path: Path) -> list[ApiKey]:
    try:
        document: Any = json.loads(path.read_text("utf-8"))
        if document["format"] != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT}")
        return [ApiKey(**entry | {"scopes": tuple(entry["scopes"])}) for entry in document["keys"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a file of API keys: {error}") from error


def _letters(count: int) -> str:
    """So many random bytes as letters and digits that survive a double click and a URL."""
    return base64.b32encode(secrets.token_bytes(count)).decode().rstrip("=").lower()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
