"""Tags over every row, and one over the set of rows: what is damaged or forged is found.

A tag is an HMAC-SHA256 (RFC 2104) over all fields of a row, with a key that is derived from the
gallery's. In a gallery in clear that key is public: the tag then is a checksum, which finds rot and
mishaps but no forger.

The digest over the set finds rows that are missing, that were added, or that were put back: a sum
modulo 2**256 of an HMAC of each row's tag, masked by the HMAC of a fresh nonce (MSet-Add-Hash;
Clarke, Devadas, van Dijk, Gassend and Suh, "Incremental multiset hash functions", ASIACRYPT 2003).
It changes with a row in constant time. The header holds it, and the header has a tag itself.

With a key the texts about people are sealed too. The column `name` then holds an HMAC of the name,
by which it is found, and `metadata` the sealed name, metadata and consent.
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
from faceprint.recognition.gallery.records import Header, SubjectRow, TemplateRow, VectorRow
from faceprint.recognition.gallery.sql_rows import header_to_row, template_to_row

__all__ = ["Guard", "check_key", "identity", "vector_row"]

_MODULUS = 1 << 256
_NONCE = 16
_NUMBERS = struct.Struct("<qqd?d?")


def check_key(location: str, header: Header, key: Key | None) -> None:
    """Refuse to open sealed records without their key.

    Raises:
        GalleryLockedError: the gallery is encrypted and the key is missing or another one.
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
            f"{location} is sealed with key {header.key_id}, this one is {key.id}"
        )


class Guard:
    """Tags and seals the rows of one gallery under one model and key."""

    def __init__(self, key: Key | None, header: Header, *, legacy: bool | None = None) -> None:
        """`legacy`: of a gallery without tags; None for what the header says."""
        self.legacy = not header.tag if legacy is None else legacy
        self.identity = identity(header)
        self.keyed = bool(header.key_id)
        held = key if self.keyed else None
        version = 1 if self.legacy else 2
        self.sealer = Sealer(held, header.uid, header.model.hash, version)
        self._rows, self._set, self._mask, self._name = (
            held.derive(purpose) if held else purpose.encode()
            for purpose in ("rows", "set", "mask", "names")
        )
        self._place = _texts(header.uid, header.model.hash)
        self._uid = header.uid

    # Tags

    def template_tag(self, row: VectorRow) -> bytes:
        """Over a template's columns; the tag among them is passed over."""
        key, subject, content, vector, source, box, quality, norm, created, crop_tag, _ = row
        numbers = _NUMBERS.pack(key, subject, norm, quality is None, quality or 0.0, box is None)
        texts = _texts(source, box or "", created)
        message = b"".join((b"T", self._place, numbers, texts, bytes(content), crop_tag, vector))
        return hmac.digest(self._rows, message, "sha256")

    def subject_tag(self, row: SubjectRow) -> bytes:
        """Over a subject's columns."""
        consent = "" if row.consent is None else "1" + row.consent
        texts = _texts(self._uid, str(row.key), row.uid, row.name, row.metadata, consent)
        return hmac.digest(self._rows, b"S" + texts + _texts(row.created), "sha256")

    def crop_tag(self, crop: bytes | None) -> bytes:
        """Over a crop's bytes; empty where there is none."""
        return b"" if crop is None else hmac.digest(self._rows, b"C" + crop, "sha256")

    def header_tag(self, header: Header) -> bytes:
        """Over the gallery's own row, the digest and the head of the audit log included."""
        *fields, digest, _ = header_to_row(header)
        text = json.dumps(fields, separators=(",", ":"))
        return hmac.digest(self._rows, b"G" + _texts(text) + digest, "sha256")

    # The set

    def elements(self, tags: Iterable[bytes]) -> int:
        """What rows with these tags add to the sum."""
        secret = self._set
        digests = (hmac.digest(secret, tag, "sha256") for tag in tags)
        return sum(int.from_bytes(digest, "big") for digest in digests) % _MODULUS

    def digest(self, total: int) -> bytes:
        """The sum as the header keeps it."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + ((total + self._masked(nonce)) % _MODULUS).to_bytes(32, "big")

    def total(self, digest: bytes) -> int | None:
        """The sum in a header's digest; None where it is damaged."""
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
        """What the column `name` holds."""
        if not self.keyed or self.legacy:
            return name
        return hmac.digest(self._name, name.encode(), "sha256").hex()

    def seal_subject(self, row: SubjectRow) -> SubjectRow:
        """A row for the store, with its tag; `key` must be known."""
        if self.keyed:
            text = json.dumps([row.name, row.metadata, row.consent]).encode()
            sealed = base64.b64encode(self.sealer.seal(text, row.uid, b"", "subject")).decode()
            row = replace(row, name=self.stored_name(row.name), metadata=sealed, consent=None)
        return replace(row, tag=self.subject_tag(row))

    def open_subject(self, row: SubjectRow, where: str) -> SubjectRow:
        """A row from the store, checked and in clear.

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
        """A sealed row in clear, whatever its tag."""
        try:
            sealed = base64.b64decode(row.metadata, validate=True)
            name, metadata, consent = json.loads(self.sealer.open(sealed, row.uid, b"", "subject"))
        except (binascii.Error, ValueError) as error:
            raise GalleryCorruptError(f"{where}: subject number {row.key} {self.why}") from error
        if self.stored_name(name) != row.name:
            raise GalleryCorruptError(f"{where}: subject number {row.key} {self.why}")
        return replace(row, name=name, metadata=metadata, consent=consent)

    def seal_source(self, row: TemplateRow) -> str:
        """A template's `source` for the store."""
        if not self.keyed or self.legacy:
            return row.source
        plain = row.source.encode()
        sealed = self.sealer.seal(plain, str(row.subject_key), row.content, "source")
        return base64.b64encode(sealed).decode()

    def open_source(self, row: TemplateRow) -> str:
        """A template's `source` in clear.

        Raises:
            GalleryCorruptError: it was changed.
        """
        if not self.keyed or self.legacy:
            return row.source
        try:
            sealed = base64.b64decode(row.source, validate=True)
        except (binascii.Error, ValueError) as error:
            raise GalleryCorruptError(f"template {row.id} {self.why}") from error
        return self.sealer.open(sealed, str(row.subject_key), row.content, "source").decode()

    def seal_template(self, row: TemplateRow) -> TemplateRow:
        """A row for the store: `source` sealed, tags made. Vector and crop are sealed before."""
        row = replace(row, source=self.seal_source(row), crop_tag=self.crop_tag(row.crop))
        return replace(row, tag=self.template_tag(vector_row(row)))

    @property
    def why(self) -> str:
        """What must have happened to a row whose tag is wrong."""
        return "was changed without the key" if self.keyed else "is damaged, or was changed by hand"


def vector_row(row: TemplateRow) -> VectorRow:
    """A template's columns in the order of `VectorRow`."""
    subject, content, source, box, quality, norm, created, vector, crop_tag, tag = template_to_row(
        row
    )
    return (row.key, subject, content, vector, source, box, quality, norm, created, crop_tag, tag)


def identity(header: Header) -> tuple[str, str, str, bool]:
    """Two headers of one identity have one guard."""
    return header.uid, header.model.hash, header.key_id, bool(header.tag)


def _texts(*texts: str) -> bytes:
    # Lengths keep ("ab", "c") and ("a", "bc") apart.
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join([len(part).to_bytes(4, "little") + part for part in parts])
