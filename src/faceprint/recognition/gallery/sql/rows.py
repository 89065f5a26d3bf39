"""Database rows with named columns, and their conversion to and from records."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from types import UnionType
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args, get_type_hints

from faceprint._text import check_text
from faceprint.errors import GalleryCorruptError, UsageError
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Consent,
    Fusion,
    Header,
    ModelPin,
    Policy,
    Subject,
    TemplateRow,
)
from faceprint.recognition.gallery.vectors import MAX_DIM

__all__ = [
    "AUDIT",
    "HEADER",
    "SUBJECT",
    "TEMPLATE",
    "TEMPLATE_COUNT",
    "CropColumns",
    "HeaderColumns",
    "SubjectRow",
    "Table",
    "TagRow",
    "TemplateColumns",
    "TemplateRef",
    "header_columns",
    "header_from_columns",
    "metadata_to_json",
    "parse_row",
    "subject_from_row",
    "subject_row",
    "template_columns",
    "template_from_columns",
]

Table = Literal["subjects", "templates"]
Row = TypeVar("Row")

_MAX_METADATA = 64 * 1024


class HeaderColumns(NamedTuple):
    """The one row of the table `gallery`."""

    uid: str
    model: str
    model_hash: str
    dim: int
    alignment: str
    fusion: str
    policy: str
    key_id: str
    generation: int
    epoch: int
    scrub: int
    audit_seq: int
    audit_hash: str
    created: str
    digest: bytes
    tag: bytes


class SubjectRow(NamedTuple):
    """A subject as stored; in an encrypted gallery the texts are sealed (`authentication`)."""

    name: str
    uid: str
    metadata: str
    consent: str | None
    created: str
    key: int = 0
    templates: int = 0
    tag: bytes = b""


class TemplateColumns(NamedTuple):
    """A row of the table `templates`; `box` is JSON text."""

    key: int
    subject_key: int
    image_sha256: bytes
    vector: bytes
    source: str
    box: str | None
    quality: float | None
    norm: float
    created: str
    crop_tag: bytes
    tag: bytes


class CropColumns(NamedTuple):
    """Whether a template has a crop, and the crop if it was asked for."""

    has_crop: int
    crop: bytes | None


class TemplateRef(NamedTuple):
    """Which template was made from an image, and whose it is."""

    image_sha256: bytes
    subject_key: int
    key: int


class TagRow(NamedTuple):
    """A row's authentication tag, and its key."""

    tag: bytes
    key: int


TEMPLATE_COUNT = "(SELECT count(*) FROM templates WHERE subject_key = subjects.key)"
HEADER = HeaderColumns._fields
SUBJECT = ("name", "uid", "metadata", "consent", "created", "key", TEMPLATE_COUNT, "tag")
TEMPLATE = tuple("content" if f == "image_sha256" else f for f in TemplateColumns._fields)
AUDIT = tuple(field.name for field in fields(AuditEntry))


@cache
def _column_types(kind: Callable[..., object]) -> tuple[tuple[type, ...], ...]:
    hints = get_type_hints(kind).values()
    kinds = [get_args(hint) if isinstance(hint, UnionType) else (hint,) for hint in hints]
    return tuple((*kind, int) if float in kind else kind for kind in kinds)


def parse_row(kind: Callable[..., Row], row: Sequence[Any], where: str) -> Row:
    """A database row as a `kind`, a named tuple or dataclass with the same columns.

    Raises:
        GalleryCorruptError: a value of another type. SQLite stores any type in any column.
    """
    types = _column_types(kind)
    if not all(map(isinstance, row, types)):
        wrong = next(v for v, t in zip(row, types, strict=True) if not isinstance(v, t))
        raise GalleryCorruptError(f"{where}: a {type(wrong).__name__} in a column of another type")
    return kind(*row)


def header_columns(header: Header) -> HeaderColumns:
    """A header as it is stored."""
    return HeaderColumns(
        uid=header.uid,
        model=header.model.id,
        model_hash=header.model.hash,
        dim=header.model.dim,
        alignment=header.model.alignment,
        fusion=header.fusion,
        policy=header.policy.to_json(),
        key_id=header.key_id,
        generation=header.generation,
        epoch=header.epoch,
        scrub=int(header.scrub),
        audit_seq=header.audit_seq,
        audit_hash=header.audit_hash,
        created=header.created,
        digest=header.digest,
        tag=header.tag,
    )


def header_from_columns(row: HeaderColumns, where: str) -> Header:
    """The reverse; raises GalleryCorruptError for values that no gallery writes."""
    if not 1 <= row.dim <= MAX_DIM or row.fusion not in ("max", "mean"):
        raise GalleryCorruptError(f"{where}: dimension {row.dim!r}, fusion {row.fusion!r}")
    return Header(
        uid=row.uid,
        model=ModelPin(row.model, row.model_hash, row.dim, row.alignment),
        fusion=cast("Fusion", row.fusion),
        policy=_decode(Policy.from_json, row.policy, where),
        key_id=row.key_id,
        generation=row.generation,
        epoch=row.epoch,
        scrub=bool(row.scrub),
        audit_seq=row.audit_seq,
        audit_hash=row.audit_hash,
        created=row.created,
        digest=row.digest,
        tag=row.tag,
    )


def _decode(read: Callable[[str], Row], text: str, where: str) -> Row:
    try:
        return read(text)
    except (TypeError, UsageError, GalleryCorruptError) as error:
        raise GalleryCorruptError(f"{where}: {error}") from error


def metadata_to_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as JSON of at most 64 KiB.

    Raises:
        UsageError: values that JSON does not have, or too many of them.
    """
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"metadata must be plain JSON values: {error}") from error
    check_text(text, "metadata")
    if len(text) > _MAX_METADATA:
        raise UsageError(f"metadata of {len(text)} characters; the limit is {_MAX_METADATA}")
    return text


def subject_row(subject: Subject) -> SubjectRow:
    """A subject as it is stored; raises UsageError for metadata that JSON does not have."""
    consent = None if subject.consent is None else json.dumps(asdict(subject.consent))
    metadata = metadata_to_json(subject.metadata)
    created, key, templates = subject.created, subject.key, subject.templates
    return SubjectRow(subject.name, subject.uid, metadata, consent, created, key, templates)


def subject_from_row(row: SubjectRow, where: str) -> Subject:
    """The reverse; raises GalleryCorruptError for texts that no gallery writes."""
    where = f"{where}: subject {row.name[:80]!r}"
    metadata = _decode(_read_object, row.metadata, where)
    consent = None if row.consent is None else _decode(_read_consent, row.consent, where)
    return Subject(row.name, row.uid, metadata, consent, row.created, row.key, row.templates)


def _read_object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GalleryCorruptError(f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise GalleryCorruptError("not a JSON object")
    return values


def _read_consent(text: str) -> Consent:
    return Consent(**_read_object(text))


def template_columns(row: TemplateRow) -> TemplateColumns:
    """A template as it is stored, but for its crop."""
    return TemplateColumns(
        key=row.key,
        subject_key=row.subject_key,
        image_sha256=row.image_sha256,
        vector=row.vector,
        source=row.source,
        box=None if row.box is None else json.dumps([float(v) for v in row.box]),
        quality=None if row.quality is None else float(row.quality),
        norm=float(row.norm),
        created=row.created,
        crop_tag=row.crop_tag,
        tag=row.tag,
    )


def template_from_columns(row: TemplateColumns, crop: CropColumns, where: str) -> TemplateRow:
    """The reverse; raises GalleryCorruptError for a box that is not four finite numbers."""
    values = row._asdict() | {"box": None if row.box is None else _read_box(row.box, where)}
    return TemplateRow(**values, crop=crop.crop, has_crop=bool(crop.has_crop))


def _read_box(text: str, where: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(value) for value in json.loads(text))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise GalleryCorruptError(f"{where}: a box that is not four numbers") from error
    if not all(math.isfinite(value) for value in (x1, y1, x2, y2)):
        raise GalleryCorruptError(f"{where}: a box that is not finite")
    return x1, y1, x2, y2
