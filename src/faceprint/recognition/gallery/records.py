"""The values that galleries store, take and return."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from faceprint._text import check_text
from faceprint.errors import GalleryCorruptError, UsageError

__all__ = [
    "AuditEntry",
    "Consent",
    "Enrolled",
    "Fusion",
    "Header",
    "ModelPin",
    "Outcome",
    "Policy",
    "Skipped",
    "Subject",
    "TemplateRow",
    "now",
    "timestamp",
]

Fusion = Literal["max", "mean"]
"""How the similarities of a subject's templates are combined: their maximum or their mean."""


def timestamp(moment: datetime) -> str:
    """UTC with a fixed width, so that sorting the text sorts by time.

    Raises:
        UsageError: a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise UsageError(f"{moment} has no time zone; pass datetime(..., tzinfo=UTC)")
    try:
        return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError as error:
        raise UsageError(f"{moment} is outside of the years 1 to 9999 in UTC") from error


def now() -> str:
    """The current moment."""
    return timestamp(datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class ModelPin:
    """The embedder whose vectors a gallery contains.

    Attributes:
        id: the card's id.
        hash: of the card and its files' checksums; cards with equal hashes embed alike.
        dim: length of a vector.
        alignment: name and size of the alignment template, which kept crops must match.
    """

    id: str
    hash: str
    dim: int
    alignment: str


@dataclass(frozen=True, slots=True)
class Consent:
    """The legal basis on which a person is enrolled.

    Attributes:
        basis: such as `written consent` or `contract`.
        given: when, ISO 8601.
        expires: when it ends, ISO 8601; None if it does not end.
        reference: where the signed consent is filed.
    """

    basis: str
    given: str
    expires: str | None = None
    reference: str = ""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (isinstance(value, str) or (value is None and name == "expires")):
                raise UsageError(f"consent's {name!r} is a {type(value).__name__}, not text")
            check_text(value or "", f"consent's {name!r}")
        if not self.basis.strip():
            raise UsageError("consent needs a basis, such as 'written consent'")
        for name, value in (("given", self.given), ("expires", self.expires)):
            if value is not None:
                object.__setattr__(self, name, _iso(value, f"consent's {name!r}"))

    def valid_at(self, moment: str) -> bool:
        """Whether it is valid at that moment (`timestamp`)."""
        return self.expires is None or moment < self.expires


def _iso(value: str, what: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise UsageError(f"{what} is {value!r}, not an ISO 8601 date such as 2025-01-31") from error
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Policy:
    """What a gallery requires of enrollments, and how long it keeps templates.

    Attributes:
        require_consent: refuse subjects without a valid consent.
        retention_days: `Gallery.expire` removes older templates.
        keep_crops: store aligned crops, so that `migrate` needs no photographs.
        max_templates: per subject; None for no limit.
    """

    require_consent: bool = False
    retention_days: int | None = None
    keep_crops: bool = False
    max_templates: int | None = None

    def __post_init__(self) -> None:
        for name in ("retention_days", "max_templates"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UsageError(f"policy: {name} is {value}; give a positive whole number or none")

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Read what `to_json` wrote; raises GalleryCorruptError for anything else."""
        return cls(**_fields(text, cls.__slots__, "policy"))


def _fields(text: str, names: tuple[str, ...], what: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GalleryCorruptError(f"the gallery's {what} is not JSON: {error}") from error
    if not isinstance(values, dict) or not set(values) <= set(names):
        raise GalleryCorruptError(f"the gallery's {what} has unknown fields")
    return values


@dataclass(frozen=True, slots=True)
class Header:
    """What a gallery says about itself, in one row.

    Attributes:
        uid: random and unique; ties index caches and sealed records to this gallery.
        key_id: fingerprint of the key that seals its records; empty if unencrypted.
        generation: incremented with every change of templates.
        epoch: incremented when vectors are replaced in place (`migrate`, `rekey`).
        scrub: deleted bytes may still be in the files.
        audit_seq, audit_hash: head of the audit chain.
        digest: over the set of all subjects and templates (`authentication`).
        tag: over this row; empty in a gallery of version 1, which has no tags.
    """

    uid: str
    model: ModelPin
    fusion: Fusion
    policy: Policy
    key_id: str = ""
    generation: int = 0
    epoch: int = 0
    scrub: bool = False
    audit_seq: int = 0
    audit_hash: str = ""
    created: str = ""
    digest: bytes = field(default=b"", repr=False)
    tag: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """A person. The audit log names the person by `uid`, which is random."""

    name: str
    uid: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    consent: Consent | None = None
    created: str = ""
    key: int = 0
    templates: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TemplateRow:
    """A stored template; `vector` and `crop` are bytes, sealed in an encrypted gallery.

    Attributes:
        image_sha256: of the photograph's bytes.
        box: x1, y1, x2, y2 in pixels of the photograph.
        quality: 0..1; None if it was not measured.
        norm: the embedding's length before normalization.
        has_crop: a crop is stored, whether or not it was read.
        crop_tag, tag: over the crop, and over this row (`authentication`).
    """

    subject_key: int
    image_sha256: bytes
    source: str
    vector: bytes
    box: tuple[float, float, float, float] | None = None
    quality: float | None = None
    norm: float = 1.0
    created: str = ""
    crop: bytes | None = None
    has_crop: bool = False
    key: int = 0
    crop_tag: bytes = b""
    tag: bytes = b""

    @property
    def id(self) -> str:
        """The key as text; never used twice within a gallery."""
        return str(self.key)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log. `subject` is a uid: no name of a removed person remains."""

    seq: int
    time: str
    actor: str
    action: str
    subject: str
    detail: str
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A photograph whose template is durable; `new` is False if it was enrolled before.

    Attributes:
        face_count: faces in the photograph; None if it was not analyzed again.
    """

    subject: str
    template: str
    source: str
    new: bool = True
    face_count: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photograph that was not enrolled, and why.

    Attributes:
        poor: because of the quality of the face.
    """

    subject: str
    source: str
    reason: str
    poor: bool = False


Outcome = Enrolled | Skipped
