"""Deletion that leaves no byte behind, retention, and one person's data on request."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from faceprint.errors import GalleryError, UnknownSubjectError, UsageError
from faceprint.recognition.gallery.context import Change, GalleryContext
from faceprint.recognition.gallery.records import Policy, Subject, now, timestamp
from faceprint.recognition.gallery.sql.rows import SubjectRow
from faceprint.recognition.gallery.vectors import unpack

__all__ = [
    "expire",
    "person_data",
    "remove_older",
    "remove_subjects",
    "remove_template",
    "scrub",
    "set_policy",
]

_CHUNK = 8 << 20
_MAX_DAYS = 36_525


def scrub(context: GalleryContext, *, thorough: bool = False) -> None:
    """Overwrite all deleted and replaced bytes in the gallery's files.

    The store rewrites its file (a server its tables, if `thorough`), the index cache is deleted,
    and every file is searched for the vectors that this process deleted. What a disk keeps below
    its file system is out of reach.

    Raises:
        GalleryError: another process is reading the gallery, or the disk is full. The rows are
            deleted all the same, and the next opening tries again.
    """
    if context.store.raw.read_only:
        raise GalleryError(
            f"{context.location} is read-only: bytes of what was deleted or replaced may still be "
            "in its files; open it where it can be written"
        )
    context.search.drop_cache()
    again = f"run faceprint gallery verify {context.location}"
    try:
        done = context.store.raw.scrub(thorough=thorough)
    except GalleryError as error:
        raise GalleryError(
            f"{error}. The change itself is stored, but bytes of what it deleted or replaced may "
            f"still be in the file: free some disk space, then {again}"
        ) from error
    if not done:
        raise GalleryError(
            f"{context.location}: the change is stored, but another process is reading or writing, "
            "so bytes of what was deleted or replaced may still be in the gallery's files; "
            f"{again} when that process is done"
        )
    _search_files(context)
    with context.store.write() as writer:
        writer.put_header(replace(writer.header(), scrub=False))


def _search_files(context: GalleryContext) -> None:
    """Raise GalleryError when a file still contains a vector that was deleted."""
    deleted, context.deleted_vectors = context.deleted_vectors, {}
    kept = {found.image_sha256 for found in context.store.raw.find_images(list(deleted))}
    vectors = [vector for digest, vector in deleted.items() if digest not in kept]
    for path in context.store.raw.files:
        if vectors and _contains(path, vectors):
            raise GalleryError(
                f"{path} still contains a vector that was deleted; run faceprint gallery verify "
                f"{context.location}, and report this"
            )


def _contains(path: Path, needles: Sequence[bytes]) -> bool:
    overlap = max(map(len, needles)) - 1
    with path.open("rb") as file:
        data = b""
        while chunk := file.read(_CHUNK):
            data = data[-overlap:] + chunk
            if any(needle in data for needle in needles):
                return True
    return False


def remove_subjects(context: GalleryContext, names: Sequence[str]) -> int:
    """Remove subjects, all or none; give the number of their templates.

    Raises:
        UnknownSubjectError: one of them does not exist; none was removed.
        GalleryError: another process prevents the overwriting; the rows are deleted.
    """
    count = 0
    with context.change() as change:
        for name in dict.fromkeys(names):
            # Unchecked: a subject whose texts are damaged can be removed.
            count += _remove(context, change, change.writer.find(name), "request")
    scrub(context)
    return count


def _remove(
    context: GalleryContext, change: Change, subject: Subject | SubjectRow, reason: str
) -> int:
    keys = change.writer.raw.template_keys(subject.key)
    count = context.delete_templates(change, keys)
    change.writer.delete_subject(subject.key)
    change.log("remove-subject", subject.uid, templates=count, reason=reason)
    return count


def remove_template(context: GalleryContext, template: str) -> None:
    """Remove one template; its subject stays."""
    if not re.fullmatch(r"-?[0-9]{1,1000}", template):
        raise UsageError(f"{template!r} is not a template's number; gallery show lists them")
    key = max(min(int(template), (1 << 63) - 1), -(1 << 63))
    with context.change() as change:
        rows = change.writer.raw.vectors_by_key([key])
        if not rows:
            raise UnknownSubjectError(f"{context.location}: no template {template}")
        # None, if another program or a flipped bit changed the key of its subject.
        owners = change.writer.raw.subjects_by_key([rows[0].subject_key]).values()
        context.delete_templates(change, [key])
        change.log("remove-template", "".join(o.uid for o in owners), template=key)
    scrub(context)


def remove_older(context: GalleryContext, moment: datetime) -> int:
    """Remove templates made before `moment`, and subjects that have none left."""
    with context.change() as change:
        count = _remove_older(context, change, moment, "age")
    if count:
        scrub(context)
    return count


def _remove_older(context: GalleryContext, change: Change, moment: datetime, reason: str) -> int:
    keys, owners = change.writer.raw.keys(timestamp(moment))
    if not len(keys):
        return 0
    count = context.delete_templates(change, [int(key) for key in keys])
    touched = sorted({int(owner) for owner in owners})
    for subject in change.writer.raw.subjects_by_key(touched).values():
        if subject.templates == 0:
            change.writer.delete_subject(subject.key)
            change.log("remove-subject", subject.uid, reason=reason)
    change.log("remove-older", before=timestamp(moment), templates=count, reason=reason)
    return count


def expire(context: GalleryContext, moment: datetime | None = None) -> int:
    """Remove what the retention period and the subjects' consents no longer cover."""
    today = moment or datetime.now(UTC)
    at, count = timestamp(today), 0
    with context.change() as change:
        # Listed first: no rows are removed during a scan.
        for subject in list(change.writer.subjects()):
            if subject.consent is not None and not subject.consent.valid_at(at):
                count += _remove(context, change, subject, "consent")
        days = change.header.policy.retention_days
        if days is not None and (before := _days_before(today, days)) is not None:
            count += _remove_older(context, change, before, "retention")
    if change.header.scrub:  # also for a subject without templates
        scrub(context)
    return count


def set_policy(context: GalleryContext, policy: Policy) -> None:
    """Change the policy for future enrollments; logged."""
    if policy.retention_days is not None and policy.retention_days > _MAX_DAYS:
        raise UsageError(
            f"retention_days is {policy.retention_days}; the limit is {_MAX_DAYS} (a hundred years)"
        )
    with context.change() as change:
        change.header = replace(change.header, policy=policy)
        change.log("policy", policy=policy.to_json())


def _days_before(today: datetime, days: int) -> datetime | None:
    try:
        return today - timedelta(days=days)
    except OverflowError:
        return None  # before the year 1, when nothing was enrolled


def person_data(context: GalleryContext, name: str) -> dict[str, Any]:
    """All data about one person, opened, as plain JSON values; logged."""
    with context.change() as change:
        subject = change.writer.require_subject(name)
        header, sealer = change.header, context.store.sealer(change.header)
        templates = []
        for row in change.writer.templates(subject_key=subject.key, crops=True):
            blob, crop = sealer.open_template(row, subject.uid)
            vector = unpack([blob], header.model.dim, context.location)[0]
            templates.append(
                {
                    "template": row.id,
                    "source": row.source,
                    "content_sha256": row.image_sha256.hex(),
                    "box": row.box,
                    "quality": row.quality,
                    "norm": row.norm,
                    "created": row.created,
                    "vector": [float(value) for value in vector],
                    "crop_png": None if crop is None else base64.b64encode(crop).decode(),
                }
            )
        change.log("person-export", subject.uid)
    log = [asdict(entry) for entry in context.store.raw.audit() if entry.subject == subject.uid]
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
