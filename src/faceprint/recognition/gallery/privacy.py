"""Deletion that leaves no byte behind, and retention."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faceprint.errors import GalleryError, UnknownSubjectError, UsageError
from faceprint.recognition.gallery.context import Change, GalleryContext
from faceprint.recognition.gallery.records import Policy, Subject, timestamp
from faceprint.recognition.gallery.sql.rows import SubjectRow

__all__ = [
    "Removable",
    "expire",
    "removable",
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
    raw = context.store.raw
    # Another template of the same photograph may have the same vector.
    again = [found.key for found in raw.find_images(list(deleted.values()))]
    vectors = list(deleted.keys() - {row.vector for row in raw.vectors_by_key(again)})
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
    with context.change() as change:
        count = _remove_subjects(context, change, names)
    scrub(context)
    return count


def _remove_subjects(context: GalleryContext, change: Change, names: Sequence[str]) -> int:
    # Unchecked: a subject whose texts are damaged can be removed.
    found = (change.writer.find(name) for name in dict.fromkeys(names))
    return sum(_remove(context, change, subject, "request") for subject in found)


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
    with context.change() as change:
        _remove_template(context, change, template)
    scrub(context)


def _remove_template(context: GalleryContext, change: Change, template: str) -> None:
    if not re.fullmatch(r"-?[0-9]{1,1000}", template):
        raise UsageError(f"{template!r} is not a template's number; gallery show lists them")
    key = max(min(int(template), (1 << 63) - 1), -(1 << 63))
    rows = change.writer.raw.vectors_by_key([key])
    if not rows:
        raise UnknownSubjectError(f"{context.location}: no template {template}")
    # None, if another program or a flipped bit changed the key of its subject.
    owners = change.writer.raw.subjects_by_key([rows[0].subject_key]).values()
    context.delete_templates(change, [key])
    change.log("remove-template", "".join(o.uid for o in owners), template=key)


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
    with context.change() as change:
        count = _expire(context, change, moment or datetime.now(UTC))
    if change.header.scrub:  # also for a subject without templates
        scrub(context)
    return count


def _expire(context: GalleryContext, change: Change, today: datetime) -> int:
    at, count = timestamp(today), 0
    # Listed first: no rows are removed during a scan.
    for subject in list(change.writer.subjects()):
        if subject.consent is not None and not subject.consent.valid_at(at):
            count += _remove(context, change, subject, "consent")
    days = change.header.policy.retention_days
    if days is not None and (before := _days_before(today, days)) is not None:
        count += _remove_older(context, change, before, "retention")
    return count


class _UndoneError(Exception):
    """Ends a transaction without a commit."""


def removable(
    context: GalleryContext,
    names: Sequence[str],
    templates: Sequence[str],
    older_than: datetime | None,
    expired: bool,
) -> Removable:
    """What a removal would remove: it is done, looked at, and undone in one transaction."""
    kept = set(context.deleted_images), dict(context.deleted_vectors)
    before = after = _Holdings({}, {})
    with contextlib.suppress(_UndoneError), context.change() as change:
        before = _Holdings.of(change)
        _remove_subjects(context, change, names)
        for template in templates:
            _remove_template(context, change, template)
        if older_than is not None:
            _remove_older(context, change, older_than, "age")
        if expired:
            _expire(context, change, datetime.now(UTC))
        after = _Holdings.of(change)
        raise _UndoneError
    context.deleted_images, context.deleted_vectors = kept
    return Removable(
        tuple(name for key, name in before.subjects.items() if key not in after.subjects),
        tuple(
            (str(key), before.subjects.get(owner, ""))
            for key, owner in before.templates.items()
            if key not in after.templates
        ),
    )


@dataclass(frozen=True, slots=True)
class Removable:
    """What a removal would remove.

    Attributes:
        subjects: names of subjects that would be gone.
        templates: (number, subject) of each template.
    """

    subjects: tuple[str, ...]
    templates: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Holdings:
    """Names by subject key, and subject keys by template key."""

    subjects: dict[int, str]
    templates: dict[int, int]

    @classmethod
    def of(cls, change: Change) -> _Holdings:
        names = {subject.key: subject.name for subject in change.writer.subjects()}
        keys, owners = change.writer.raw.keys()
        return cls(names, dict(zip(keys.tolist(), owners.tolist(), strict=True)))


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
