"""Seal templates and crops at rest: AES-256-GCM with a fresh nonce for each record.

The associated data name the version, gallery, subject, model, photograph and field, so a sealed
vector that was moved to another person or model does not open (NIST SP 800-38D). Nonces are 96
random bits: by section 8.3 one key may seal 2**32 records; rotate it before that.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import hmac
import os
import secrets
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from faceprint import settings
from faceprint._files import read_bounded
from faceprint._optional import require
from faceprint.errors import GalleryCorruptError, GalleryLockedError, UsageError
from faceprint.recognition.gallery.records import TemplateRow

__all__ = ["Key", "Sealer", "key_from_environment", "new_key", "parse_key", "read_key_file"]

_OVERHEAD = 1 + 12 + 16
Field = Literal["vector", "crop", "source", "subject"]


class Key:
    """32 secret bytes; never shown, compared by fingerprint."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise UsageError(f"a gallery key has 32 bytes; this one has {len(secret)}")
        self._secret = secret
        digest = hmac.new(secret, b"faceprint gallery key fingerprint", hashlib.sha256)
        self.id = digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Key(id={self.id!r})"

    def text(self) -> str:
        """The secret itself in base64, for a key file."""
        return base64.b64encode(self._secret).decode()

    def derive(self, purpose: str) -> bytes:
        """32 secret bytes for one purpose, which reveal nothing about the key or each other."""
        return hmac.digest(self._secret, b"faceprint gallery " + purpose.encode(), "sha256")

    def cipher(self) -> Any:
        """The AES-256-GCM of this key."""
        module = require("cryptography.hazmat.primitives.ciphers.aead", extra="crypto")
        return module.AESGCM(self._secret)


def new_key() -> Key:
    """A new random key."""
    return Key(secrets.token_bytes(32))


def parse_key(text: bytes, where: str) -> Key:
    """A key as 32 raw bytes, 64 hexadecimal digits or base64.

    Raises:
        UsageError: none of these; the message never contains the text.
    """
    if len(text) == 32:
        return Key(text)
    stripped = text.strip()
    try:
        if len(stripped) == 64:
            return Key(bytes.fromhex(stripped.decode("ascii")))
        return Key(base64.b64decode(stripped, validate=True))
    except (binascii.Error, ValueError) as error:
        raise UsageError(
            f"{where} is not a gallery key: 32 bytes as base64 or 64 hexadecimal digits are "
            "needed; faceprint gallery keygen makes one"
        ) from error


def read_key_file(path: Path) -> Key:
    """The key in a file.

    Raises:
        GalleryLockedError: it can't be read.
        UsageError: it is not a key.
    """
    try:
        return parse_key(read_bounded(path, 4096), str(path))
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise UsageError(f"{path} is too large to be a gallery key") from error
        raise GalleryLockedError(f"the key file {path} can't be read: {error.strerror}") from error


def key_from_environment() -> Key | None:
    """The key from FACEPRINT_KEY_FILE, FACEPRINT_KEY or the output of FACEPRINT_KEY_COMMAND."""
    file = os.environ.get("FACEPRINT_KEY_FILE", "").strip()
    if file:
        return read_key_file(settings.expanded(file))
    text = os.environ.get("FACEPRINT_KEY", "").strip()
    if text:
        return parse_key(text.encode(), "FACEPRINT_KEY")
    command = os.environ.get("FACEPRINT_KEY_COMMAND", "").strip()
    return _key_from_command(command) if command else None


def _key_from_command(command: str) -> Key:
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, timeout=60, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise GalleryLockedError(f"FACEPRINT_KEY_COMMAND can't be run: {error}") from error
    if done.returncode != 0:
        raise GalleryLockedError(f"FACEPRINT_KEY_COMMAND ended with exit code {done.returncode}")
    return parse_key(done.stdout, "the output of FACEPRINT_KEY_COMMAND")


class Sealer:
    """Seals and opens the records of one gallery under one model; without a key, does nothing.

    Version 1 is for galleries whose rows have no tags. Records of one version do not open as the
    other, so nobody can remove the tags of a gallery that has them.
    """

    def __init__(
        self, key: Key | None, gallery_uid: str, model_hash: str, version: int = 2
    ) -> None:
        self._cipher = None if key is None else key.cipher()
        self._version = bytes([version])
        self._place = (gallery_uid, model_hash) + (() if version == 1 else (f"v{version}",))

    def seal(self, plain: bytes, subject_uid: str, image_sha256: bytes, field: Field) -> bytes:
        """Bytes for the store."""
        if self._cipher is None:
            return plain
        nonce = secrets.token_bytes(12)
        bound = self._bound(subject_uid, image_sha256, field)
        sealed: bytes = self._cipher.encrypt(nonce, plain, bound)
        return self._version + nonce + sealed

    def open(self, sealed: bytes, subject_uid: str, image_sha256: bytes, field: Field) -> bytes:
        """Bytes from the store.

        Raises:
            GalleryCorruptError: a record that was changed or moved.
        """
        if self._cipher is None:
            return sealed
        if len(sealed) < _OVERHEAD or sealed[:1] != self._version:
            raise GalleryCorruptError("a record is not sealed as this gallery's records are")
        bound = self._bound(subject_uid, image_sha256, field)
        invalid = require("cryptography.exceptions", extra="crypto").InvalidTag
        try:
            plain: bytes = self._cipher.decrypt(sealed[1:13], sealed[13:], bound)
        except invalid as error:
            # The key's fingerprint was checked before, so the record is wrong.
            raise GalleryCorruptError(
                "a record does not open: it was changed, or moved here from another subject, "
                "photograph, model or gallery"
            ) from error
        return plain

    def open_template(self, row: TemplateRow, subject_uid: str) -> tuple[bytes, bytes | None]:
        """A template's vector and crop; raises GalleryCorruptError as `open` does."""
        vector = self.open(row.vector, subject_uid, row.image_sha256, "vector")
        if row.crop is None:
            return vector, None
        return vector, self.open(row.crop, subject_uid, row.image_sha256, "crop")

    def seal_template(
        self, row: TemplateRow, subject_uid: str, vector: bytes, crop: bytes | None
    ) -> TemplateRow:
        """The template with this vector and crop, sealed."""
        vector = self.seal(vector, subject_uid, row.image_sha256, "vector")
        if crop is not None:
            crop = self.seal(crop, subject_uid, row.image_sha256, "crop")
        return replace(row, vector=vector, crop=crop, has_crop=crop is not None)

    def _bound(self, subject_uid: str, image_sha256: bytes, field: Field) -> bytes:
        parts = (*self._place, subject_uid, image_sha256.hex(), field)
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        return b"".join(len(p).to_bytes(4, "big") + p for p in (part.encode() for part in parts))
