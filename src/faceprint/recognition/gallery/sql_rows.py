"""Between database rows and records: one order of columns for both databases."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from faceprint.errors import GalleryCorruptError, UsageError
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Consent,
    Fusion,
    Header,
    ModelPin,
    Policy,
    Subject,
    SubjectRow,
    TemplateRow,
    check_text,
)
from faceprint.recognition.gallery.vectors import MAX_DIM

__all__ = [
    "AUDIT",
    "HEADER",
    "SUBJECT",
    "TEMPLATE",
    "VECTOR",
    "audit_from_row",
    "header_from_row",
    "header_to_row",
    "metadata_to_json",
    "subject_from_row",
    "subject_of_texts",
    "subject_texts",
    "subject_to_row",
    "template_from_row",
    "template_to_row",
    "typed",
]

HEADER = (
    "uid, model, model_hash, dim, alignment, fusion, policy, key_id, generation, epoch, scrub, "
    "audit_seq, audit_hash, created, digest, tag"
)
SUBJECT = "uid, name, metadata, consent, created, tag"
TEMPLATE = "subject_key, content, source, box, quality, norm, created, vector, crop_tag, tag"
VECTOR = "key, subject_key, content, vector, source, box, quality, norm, created, crop_tag, tag"
AUDIT = "seq, time, actor, action, subject, detail, prev, hash"
_MOST_METADATA = 64 * 1024
_KINDS: dict[str, type | tuple[type, ...]] = {
    "i": int,
    "f": (float, int),
    "s": str,
    "b": (bytes, memoryview),
}


def header_to_row(h: Header) -> tuple[Any, ...]:
    """In the order of HEADER."""
    pin = (h.uid, h.model.id, h.model.hash, h.model.dim, h.model.alignment)
    state = (h.key_id, h.generation, h.epoch, int(h.scrub), h.audit_seq, h.audit_hash)
    return (*pin, h.fusion, h.policy.to_json(), *state, h.created, h.digest, h.tag)


def typed(row: Sequence[Any], kinds: str, where: str) -> Sequence[Any]:
    """Refuse values of another type: SQLite stores what a stranger's writer gave it.

    `i` integer, `f` number, `s` text, `b` bytes; a capital letter may be null.
    """
    for value, kind in zip(row, kinds, strict=True):
        if value is None and kind.isupper():
            continue
        if not isinstance(value, _KINDS[kind.lower()]):
            raise GalleryCorruptError(f"{where}: a {type(value).__name__} where none belongs")
    return row


def header_from_row(row: Sequence[Any], where: str) -> Header:
    """Raises GalleryCorruptError for a row that no gallery writes."""
    uid, model, digest, dim, alignment, fusion, policy, key_id, *rest = typed(
        row, "sssissssiiiissbb", where
    )
    generation, epoch, scrub, audit_seq, audit_hash, created, whole, tag = rest
    if not 1 <= dim <= MAX_DIM or fusion not in ("max", "mean"):
        raise GalleryCorruptError(f"{where}: dimension {dim!r}, fusion {fusion!r}")
    return Header(
        uid=uid,
        model=ModelPin(model, digest, int(dim), alignment),
        fusion=cast("Fusion", fusion),
        policy=_guarded(Policy.from_json, policy, where),
        key_id=key_id,
        generation=generation,
        epoch=epoch,
        scrub=bool(scrub),
        audit_seq=audit_seq,
        audit_hash=audit_hash,
        created=created,
        digest=bytes(whole),
        tag=bytes(tag),
    )


def _guarded(read: Any, text: str, where: str) -> Any:
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
    if len(text) > _MOST_METADATA:
        raise UsageError(f"metadata of {len(text)} characters; at most {_MOST_METADATA} are kept")
    return text


def subject_to_row(subject: SubjectRow) -> tuple[Any, ...]:
    """In the order of SUBJECT."""
    texts = (subject.uid, subject.name, subject.metadata, subject.consent, subject.created)
    return (*texts, subject.tag)


def subject_from_row(row: Sequence[Any], where: str) -> SubjectRow:
    """(key, number of templates, *SUBJECT); raises GalleryCorruptError."""
    key, templates, uid, name, metadata, consent, created, tag = typed(row, "iisssSsb", where)
    return SubjectRow(name, uid, metadata, consent, created, key, templates, bytes(tag))


def subject_texts(subject: Subject) -> SubjectRow:
    """A person as texts; raises UsageError for metadata that can't be kept."""
    consent = None if subject.consent is None else json.dumps(asdict(subject.consent))
    metadata = metadata_to_json(subject.metadata)
    created, key, templates = subject.created, subject.key, subject.templates
    return SubjectRow(subject.name, subject.uid, metadata, consent, created, key, templates)


def subject_of_texts(row: SubjectRow, where: str) -> Subject:
    """Back from `subject_texts`; raises GalleryCorruptError for texts that nobody wrote."""
    where = f"{where}: subject {row.name[:80]!r}"
    values = _guarded(_mapping, row.metadata, where)
    given = None if row.consent is None else _guarded(_consent, row.consent, where)
    return Subject(row.name, row.uid, values, given, row.created, row.key, row.templates)


def _mapping(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GalleryCorruptError(f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise GalleryCorruptError("not a JSON object")
    return values


def _consent(text: str) -> Consent:
    return Consent(**_mapping(text))


def template_to_row(row: TemplateRow) -> tuple[Any, ...]:
    """In the order of TEMPLATE."""
    box = None if row.box is None else json.dumps([float(v) for v in row.box])
    quality = None if row.quality is None else float(row.quality)
    given = (row.subject_key, row.content, row.source, box, quality, float(row.norm))
    return (*given, row.created, row.vector, row.crop_tag, row.tag)


def template_from_row(row: Sequence[Any], where: str) -> TemplateRow:
    """(key, whether there is a crop, the crop or None, *TEMPLATE); raises GalleryCorruptError."""
    typed(row, "iiBibsSFfsbbb", where)
    key, has_crop, crop, subject_key, content, source, box, quality, norm, created, *rest = row
    vector, crop_tag, tag = rest
    return TemplateRow(
        subject_key=subject_key,
        content=bytes(content),
        source=source,
        vector=bytes(vector),
        box=None if box is None else _box(box, where),
        quality=quality,
        norm=norm,
        created=created,
        crop=None if crop is None else bytes(crop),
        has_crop=bool(has_crop),
        key=key,
        crop_tag=bytes(crop_tag),
        tag=bytes(tag),
    )


def _box(text: str, where: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(value) for value in json.loads(text))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise GalleryCorruptError(f"{where}: a box that is not four numbers") from error
    if not all(math.isfinite(value) for value in (x1, y1, x2, y2)):
        raise GalleryCorruptError(f"{where}: a box that is not finite")
    return x1, y1, x2, y2


def audit_from_row(row: Sequence[Any], where: str = "the audit log") -> AuditEntry:
    """In the order of AUDIT; raises GalleryCorruptError."""
    return AuditEntry(*typed(row, "isssssss", where))
