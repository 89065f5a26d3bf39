"""Deletion that leaves nothing behind, retention, and what a person may ask to see."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from faceprint.errors import GalleryError, UnknownSubjectError, UsageError
from faceprint.recognition.gallery.core import Change, Core
from faceprint.recognition.gallery.enrolling import ensure_subject
from faceprint.recognition.gallery.records import Consent, Subject, now, timestamp
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.gallery.vectors import unpack

__all__ = [
    "expire",
    "person_data",
    "remove_older",
    "remove_subjects",
    "remove_template",
    "scrub",
    "update",
]


def scrub(core: Core, search: Search, *, thorough: bool = False) -> None:
    """Overwrite what was deleted, in every file of the gallery.

    The store overwrites deleted rows (secure_delete) and empties its write-ahead log; the index
    cache is dropped. What a disk keeps below its file system can't be reached from here.

    Raises:
        GalleryError: another process reads the gallery and hinders it. The rows are deleted all the
            same, and the next opening tries again.
    """
    search.drop_cache()
    if not core.store.scrub(thorough=thorough):
        raise GalleryError(
            f"{core.location}: deleted, but another process is in the middle of reading, so that "
            "bytes may remain in the write-ahead log; run faceprint gallery verify "
            f"{core.location} when that process is done"
        )
    with core.store.write() as writer:
        writer.put_header(replace(writer.header(), scrub=False))


def remove_subjects(core: Core, search: Search, names: Sequence[str]) -> int:
    """Remove people, all or none; the number of templates that went along."""
    count = 0
    with core.change() as change:
        for name in dict.fromkeys(names):
            subject = change.writer.subject(name)
            if subject is None:
                raise UnknownSubjectError(f"{core.location} holds nobody called {name!r}")
            count += _remove(core, change, subject, "request")
    scrub(core, search)
    return count


def _remove(core: Core, change: Change, subject: Subject, reason: str) -> int:
    keys = [row.key for row in change.writer.templates(subject_key=subject.key)]
    count = core.remove(change, keys)
    change.writer.delete_subject(subject.key)
    change.log("remove-subject", subject.uid, templates=count, reason=reason)
    return count


def update(
    core: Core, name: str, metadata: Mapping[str, Any] | None, consent: Consent | None
) -> Subject:
    """Replace a person's metadata or consent; what is None stays."""
    with core.change() as change:
        if change.writer.subject(name) is None:
            raise UnknownSubjectError(f"{core.location} holds nobody called {name!r}")
        made = ensure_subject(change, name, metadata, consent)
        if isinstance(made, str):
            raise UsageError(made)
    return made


def remove_template(core: Core, search: Search, template: str) -> None:
    """Remove one template; its subject stays."""
    if not template.isdecimal() or len(template) > 1000:
        raise UsageError(f"{template!r} is not a template's number; gallery show lists them")
    key = min(int(template), (1 << 63) - 1)
    with core.change() as change:
        rows = change.writer.templates_by_key([key])
        if not rows:
            raise UnknownSubjectError(f"{core.location} holds no template {template}")
        owner = change.writer.subjects_by_key([rows[0].subject_key])[rows[0].subject_key]
        core.remove(change, [key])
        change.log("remove-template", owner.uid, template=key)
    scrub(core, search)


def remove_older(core: Core, search: Search, moment: datetime) -> int:
    """Remove templates made before `moment`, and subjects that are left with none by that."""
    with core.change() as change:
        count = _remove_older(core, change, moment, "age")
    if count:
        scrub(core, search)
    return count


def _remove_older(core: Core, change: Change, moment: datetime, reason: str) -> int:
    keys, owners = change.writer.keys(timestamp(moment))
    if not len(keys):
        return 0
    count = core.remove(change, [int(key) for key in keys])
    touched = sorted({int(owner) for owner in owners})
    for subject in change.writer.subjects_by_key(touched).values():
        if subject.templates == 0:
            change.writer.delete_subject(subject.key)
            change.log("remove-subject", subject.uid, reason=reason)
    change.log("remove-older", before=timestamp(moment), templates=count, reason=reason)
    return count


def expire(core: Core, search: Search, moment: datetime | None = None) -> int:
    """Remove what the policy's retention period and subjects' consents no longer cover."""
    today = moment or datetime.now(UTC)
    at, count = timestamp(today), 0
    with core.change() as change:
        # Listed first: rows are not removed under a scan.
        for subject in list(change.writer.subjects()):
            if subject.consent is not None and not subject.consent.valid_at(at):
                count += _remove(core, change, subject, "consent")
        days = change.header.policy.retention_days
        if days is not None:
            count += _remove_older(core, change, today - timedelta(days=days), "retention")
    if change.header.scrub:  # a subject without templates counts too
        scrub(core, search)
    return count


def person_data(core: Core, name: str) -> dict[str, Any]:
    """Everything the gallery holds about one person, opened, as plain JSON values; logged."""
    with core.change() as change:
        subject = change.writer.subject(name)
        if subject is None:
            raise UnknownSubjectError(f"{core.location} holds nobody called {name!r}")
        header, sealer = change.header, core.sealer(change.header)
        templates = []
        for row in change.writer.templates(subject_key=subject.key, crops=True):
            blob = sealer.open(row.vector, subject.uid, row.content, "vector")
            vector = unpack([blob], header.model.dim, core.location)[0]
            crop = None
            if row.crop is not None:
                plain = sealer.open(row.crop, subject.uid, row.content, "crop")
                crop = base64.b64encode(plain).decode()
            templates.append(
                {
                    "template": row.id,
                    "source": row.source,
                    "content_sha256": row.content.hex(),
                    "box": row.box,
                    "quality": row.quality,
                    "norm": row.norm,
                    "created": row.created,
                    "vector": [float(value) for value in vector],
                    "crop_png": crop,
                }
            )
        change.log("person-export", subject.uid)
    log = [asdict(entry) for entry in core.store.audit() if entry.subject == subject.uid]
    return {
        "subject": subject.name,
        "metadata": dict(subject.metadata),
        "consent": None if subject.consent is None else asdict(subject.consent),
        "created": subject.created,
        "embedder": header.model.id,
        "exported": now(),
        "templates": templates,
        "audit": log,
    }
