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
    TemplateRow,
)
from faceprint.recognition.gallery.vectors import MAX_DIM

__all__ = [
    "AUDIT",
    "HEADER",
    "SUBJECT",
    "TEMPLATE",
    "audit_from_row",
    "header_from_row",
    "header_to_row",
    "metadata_to_json",
    "subject_from_row",
    "subject_to_row",
    "template_from_row",
    "template_to_row",
    "typed",
]

HEADER = (
    "uid, model, model_hash, dim, alignment, fusion, policy, key_id, generation, epoch, scrub, "
    "audit_seq, audit_hash, created"
)
SUBJECT = "uid, name, metadata, consent, created"
TEMPLATE = "subject_key, content, source, box, quality, norm, created, vector"
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
    state = (h.key_id, h.generation, h.epoch, int(h.scrub), h.audit_seq, h.audit_hash, h.created)
    return (*pin, h.fusion, h.policy.to_json(), *state)


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
        row, "sssissssiiiiss", where
    )
    generation, epoch, scrub, audit_seq, audit_hash, created = rest
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
    )


def _guarded(read: Any, text: str, where: str) -> Any:
    try:
        return read(text)
    except (TypeError, UsageError) as error:
        raise GalleryCorruptError(f"{where}: {error}") from error


def metadata_to_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as JSON of at most 64 KiB.

    Raises:
        UsageError: values that JSON does not have, or too many of them.
    """
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True, allow_nan=False)
        text.encode()  # half of a surrogate pair can't be stored
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"metadata must be plain JSON values: {error}") from error
    if len(text) > _MOST_METADATA:
        raise UsageError(f"metadata of {len(text)} characters; at most {_MOST_METADATA} are kept")
    return text


def subject_to_row(subject: Subject) -> tuple[Any, ...]:
    """In the order of SUBJECT."""
    consent = None if subject.consent is None else json.dumps(asdict(subject.consent))
    metadata = metadata_to_json(subject.metadata)
    return (subject.uid, subject.name, metadata, consent, subject.created)


def subject_from_row(row: Sequence[Any], where: str) -> Subject:
    """(key, number of templates, *SUBJECT); raises GalleryCorruptError."""
    key, templates, uid, name, metadata, consent, created = typed(row, "iisssSs", where)
    values = _guarded(_mapping, metadata, where)
    given = None if consent is None else _guarded(_consent, consent, where)
    return Subject(name, uid, values, given, created, key, templates)


def _mapping(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise GalleryCorruptError(f"metadata is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise GalleryCorruptError("metadata is not a JSON object")
    return values


def _consent(text: str) -> Consent:
    return Consent(**_mapping(text))


def template_to_row(row: TemplateRow) -> tuple[Any, ...]:
    """In the order of TEMPLATE."""
    box = None if row.box is None else json.dumps([float(v) for v in row.box])
    given = (row.subject_key, row.content, row.source, box, row.quality, row.norm)
    return (*given, row.created, row.vector)


def template_from_row(row: Sequence[Any], where: str) -> TemplateRow:
    """(key, whether there is a crop, the crop or None, *TEMPLATE); raises GalleryCorruptError."""
    typed(row, "iiBibsSFfsb", where)
    key, has_crop, crop, subject_key, content, source, box, quality, norm, created, vector = row
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
    )


def _box(text: str, where: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(value) for value in json.loads(text))
    except (TypeError, ValueError) as error:
        raise GalleryCorruptError(f"{where}: a box that is not four numbers") from error
    if not all(math.isfinite(value) for value in (x1, y1, x2, y2)):
        raise GalleryCorruptError(f"{where}: a box that is not finite")
    return x1, y1, x2, y2


def audit_from_row(row: Sequence[Any], where: str = "the audit log") -> AuditEntry:
    """In the order of AUDIT; raises GalleryCorruptError."""
    return AuditEntry(*typed(row, "isssssss", where))
