"""Authenticate every row, and the set of rows: damaged and forged rows are found.

A row's tag is an HMAC-SHA256 (RFC 2104) over all its fields, with a key that is derived from the
gallery's key. In an unencrypted gallery that key is public: the tag then is a checksum, which finds
damage and accidents, but no forger.

The digest over the set finds rows that are missing, were added or were put back. It is the sum
modulo 2**256 of an HMAC of each row's tag, masked by the HMAC of a fresh nonce (MSet-Add-Hash;
Clarke, Devadas, van Dijk, Gassend and Suh, "Incremental multiset hash functions", ASIACRYPT 2003).
Adding or removing a row changes it in constant time. The header holds the digest, and has a tag.

With a key, the texts about people are sealed too. The column `name` then holds an HMAC of the name,
by which the row is found, and `metadata` holds the sealed name, metadata and consent.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import struct
from collections.abc import Iterable
from dataclasses import replace

from faceprint.errors import GalleryCorruptError, GalleryLockedError
from faceprint.recognition.gallery.crypto import Key, Sealer
from faceprint.recognition.gallery.records import Header, TemplateRow
from faceprint.recognition.gallery.sql.rows import (
    SubjectRow,
    TemplateColumns,
    header_columns,
    template_columns,
)

__all__ = ["RowAuthenticator", "check_key", "identity"]

_MODULUS = 1 << 256
_NONCE = 16
_NUMBERS = struct.Struct("<qqd?d?")


def check_key(location: str, header: Header, key: Key | None) -> None:
    """Check that sealed records can be opened.

    Raises:
        GalleryLockedError: the gallery is encrypted and the key is missing or wrong.
    """
    if not header.key_id:
        return
    if key is None:
        raise GalleryLockedError(
            f"{location} is encrypted: give its key with --key-file FILE (key=...), or set "
            "FACEPRINT_KEY_FILE, FACEPRINT_KEY or FACEPRINT_KEY_COMMAND"
        )
    if key.id != header.key_id:
        raise GalleryLockedError(
            f"{location} is encrypted with key {header.key_id}; the key given is {key.id}"
        )


class RowAuthenticator:
    """Tags and seals the rows of one gallery under one model and key."""

    def __init__(self, key: Key | None, header: Header, *, legacy: bool | None = None) -> None:
        """`legacy`: the rows have no tags (gallery version 1); None for what the header says."""
        self.legacy = not header.tag if legacy is None else legacy
        self.identity = identity(header)
        self.keyed = bool(header.key_id)
        secret = key if self.keyed else None
        version = 1 if self.legacy else 2
        self.sealer = Sealer(secret, header.uid, header.model.hash, version)
        self._rows, self._set, self._mask, self._name = (
            secret.derive(purpose) if secret else purpose.encode()
            for purpose in ("rows", "set", "mask", "names")
        )
        self._place = _texts(header.uid, header.model.hash)
        self._uid = header.uid

    # Tags

    def template_tag(self, row: TemplateColumns) -> bytes:
        """Over a template's columns, except the tag itself."""
        key, subject, digest, vector, source, box, quality, norm, created, crop_tag, _ = row
        numbers = _NUMBERS.pack(key, subject, norm, quality is None, quality or 0.0, box is None)
        texts = _texts(source, box or "", created)
        message = b"".join((b"T", self._place, numbers, texts, digest, crop_tag, vector))
        return hmac.digest(self._rows, message, "sha256")

    def subject_tag(self, row: SubjectRow) -> bytes:
        """Over a subject's columns."""
        consent = "" if row.consent is None else "1" + row.consent
        texts = _texts(self._uid, str(row.key), row.uid, row.name, row.metadata, consent)
        return hmac.digest(self._rows, b"S" + texts + _texts(row.created), "sha256")

    def crop_tag(self, crop: bytes | None) -> bytes:
        """Over a crop's bytes; empty if there is none."""
        return b"" if crop is None else hmac.digest(self._rows, b"C" + crop, "sha256")

    def header_tag(self, header: Header) -> bytes:
        """Over the header, including the digest and the head of the audit log."""
        *fields, digest, _ = header_columns(header)
        text = json.dumps(fields, separators=(",", ":"))
        return hmac.digest(self._rows, b"G" + _texts(text) + digest, "sha256")

    # The set

    def elements(self, tags: Iterable[bytes]) -> int:
        """The sum over rows with these tags."""
        secret = self._set
        digests = (hmac.digest(secret, tag, "sha256") for tag in tags)
        return sum(int.from_bytes(digest, "big") for digest in digests) % _MODULUS

    def digest(self, total: int) -> bytes:
        """The sum as the header stores it."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + ((total + self._masked(nonce)) % _MODULUS).to_bytes(32, "big")

    def total(self, digest: bytes) -> int | None:
        """The sum in a header's digest; None if it is damaged."""
        if len(digest) != _NONCE + 32:
            return None
        nonce, masked = digest[:_NONCE], int.from_bytes(digest[_NONCE:], "big")
        return (masked - self._masked(nonce)) % _MODULUS

    def _masked(self, nonce: bytes) -> int:
        return int.from_bytes(hmac.digest(self._mask, nonce, "sha256"), "big")

    def sign(self, header: Header, total: int) -> Header:
        """The header with its digest and tag."""
        header = replace(header, digest=self.digest(total))
        return replace(header, tag=self.header_tag(header))

    # Texts

    def stored_name(self, name: str) -> str:
        """The content of the column `name`."""
        if not self.keyed or self.legacy:
            return name
        return hmac.digest(self._name, name.encode(), "sha256").hex()

    def seal_subject(self, row: SubjectRow) -> SubjectRow:
        """A row for the store, sealed and with its tag; its `key` must be known."""
        if self.keyed:
            text = json.dumps([row.name, row.metadata, row.consent]).encode()
            sealed = base64.b64encode(self.sealer.seal(text, row.uid, b"", "subject")).decode()
            row = row._replace(name=self.stored_name(row.name), metadata=sealed, consent=None)
        return row._replace(tag=self.subject_tag(row))

    def open_subject(self, row: SubjectRow, where: str) -> SubjectRow:
        """A row from the store, checked and opened.

        Raises:
            GalleryCorruptError: it was changed.
        """
        if self.legacy:
            return row
        if not hmac.compare_digest(self.subject_tag(row), row.tag):
            what = f"subject number {row.key}" if self.keyed else f"subject {row.name[:80]!r}"
            raise GalleryCorruptError(f"{where}: {what} {self.why}")
        return self.read_subject(row, where) if self.keyed else row

    def read_subject(self, row: SubjectRow, where: str) -> SubjectRow:
        """Open a sealed row without checking its tag."""
        try:
            sealed = base64.b64decode(row.metadata, validate=True)
            name, metadata, consent = json.loads(self.sealer.open(sealed, row.uid, b"", "subject"))
        except (binascii.Error, ValueError) as error:
            raise GalleryCorruptError(f"{where}: subject number {row.key} {self.why}") from error
        if self.stored_name(name) != row.name:
            raise GalleryCorruptError(f"{where}: subject number {row.key} {self.why}")
        return row._replace(name=name, metadata=metadata, consent=consent)

    def seal_source(self, row: TemplateRow) -> str:
        """A template's `source` for the store."""
        if not self.keyed or self.legacy:
            return row.source
        plain = row.source.encode()
        sealed = self.sealer.seal(plain, str(row.subject_key), row.image_sha256, "source")
        return base64.b64encode(sealed).decode()

    def open_source(self, row: TemplateRow) -> str:
        """A template's `source`, opened.

        Raises:
            GalleryCorruptError: it was changed.
        """
        if not self.keyed or self.legacy:
            return row.source
        try:
            sealed = base64.b64decode(row.source, validate=True)
        except (binascii.Error, ValueError) as error:
            raise GalleryCorruptError(f"template {row.id} {self.why}") from error
        return self.sealer.open(sealed, str(row.subject_key), row.image_sha256, "source").decode()

    def seal_template(self, row: TemplateRow) -> TemplateRow:
        """A row for the store, with tags and a sealed `source`; seal vector and crop before."""
        row = replace(row, source=self.seal_source(row), crop_tag=self.crop_tag(row.crop))
        return replace(row, tag=self.template_tag(template_columns(row)))

    @property
    def why(self) -> str:
        """What must have happened to a row with a wrong tag."""
        return "was changed without the key" if self.keyed else "is damaged, or was changed by hand"


def identity(header: Header) -> tuple[str, str, str, bool]:
    """Headers with the same identity share an authenticator."""
    return header.uid, header.model.hash, header.key_id, bool(header.tag)


def _texts(*texts: str) -> bytes:
    # Lengths keep ("ab", "c") and ("a", "bc") apart.
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join([len(part).to_bytes(4, "little") + part for part in parts])
