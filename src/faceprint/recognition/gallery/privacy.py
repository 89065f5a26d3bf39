"""Deletion that leaves nothing behind, retention, and what a person may ask to see."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from faceprint.errors import GalleryError, UnknownSubjectError, UsageError
from faceprint.recognition.gallery.core import Change, Core
from faceprint.recognition.gallery.enrollment import ensure_subject
from faceprint.recognition.gallery.records import Consent, Subject, SubjectRow, now, timestamp
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.gallery.vectors import unpack

__all__ = [
    "add_subject",
    "expire",
    "person_data",
    "remove_older",
    "remove_subjects",
    "remove_template",
    "rename",
    "scrub",
    "update",
]


_PART = 8 << 20


def scrub(core: Core, search: Search, *, thorough: bool = False) -> None:
    """Leave no deleted or replaced byte in any file of the gallery.

    The store writes its file anew (a server its tables, when `thorough` asks for it), the index
    cache is dropped, and every file is searched for what this process removed. What a disk keeps
    below its file system can't be reached from here.

    Raises:
        GalleryError: another process reads the gallery and hinders it, or there is no room. The
            rows are deleted all the same, and the next opening tries again.
    """
    if core.store.raw.read_only:
        raise GalleryError(
            f"{core.location} is read-only: bytes of what was deleted or replaced may still lie in "
            "its files; open it where it can be written"
        )
    search.drop_cache()
    again = f"run faceprint gallery verify {core.location}"
    try:
        done = core.store.scrub(thorough=thorough)
    except GalleryError as error:
        raise GalleryError(
            f"{error}. The change itself is stored, but bytes of what it deleted or replaced may "
            f"still lie in the file: make room, then {again}"
        ) from error
    if not done:
        raise GalleryError(
            f"{core.location}: the change is stored, but another process is in the middle of "
            "reading or writing, so that bytes of what was deleted or replaced may remain in the "
            f"gallery's files; {again} when that process is done"
        )
    _search_files(core)
    with core.store.write() as writer:
        writer.put_header(replace(writer.header(), scrub=False))


def _search_files(core: Core) -> None:
    """Raise GalleryError when a file still holds a vector that was removed."""
    found, core.traces = core.traces, {}
    kept = {content for content, _, _ in core.store.find_content(list(found))}
    needles = [vector for content, vector in found.items() if content not in kept]
    for path in core.store.raw.files:
        if needles and _holds(path, needles):
            raise GalleryError(
                f"{path} still holds a vector that was removed; run faceprint gallery verify "
                f"{core.location}, and report this"
            )


def _holds(path: Path, needles: Sequence[bytes]) -> bool:
    overlap = max(map(len, needles)) - 1
    with path.open("rb") as file:
        data = b""
        while part := file.read(_PART):
            data = data[-overlap:] + part
            if any(needle in data for needle in needles):
                return True
    return False


def remove_subjects(core: Core, search: Search, names: Sequence[str]) -> int:
    """Remove people, all or none; the number of templates that went along."""
    count = 0
    with core.change() as change:
        for name in dict.fromkeys(names):
            # The row as it is stored: somebody whose texts are damaged can be removed.
            found = change.writer.find(name)
            if found is None:
                raise UnknownSubjectError(f"{core.location} holds nobody called {name!r}")
            count += _remove(core, change, found, "request")
    scrub(core, search)
    return count


def _remove(core: Core, change: Change, subject: Subject | SubjectRow, reason: str) -> int:
    keys = change.writer.template_keys(subject.key)
    count = core.remove(change, keys)
    change.writer.delete_subject(subject.key)
    change.log("remove-subject", subject.uid, templates=count, reason=reason)
    return count


def update(
    core: Core, name: str, metadata: Mapping[str, Any] | None, consent: Consent | None
) -> Subject:
    """Replace a person's metadata or consent; what is None stays."""
    with core.change() as change:
        if change.writer.find(name) is None:
            raise UnknownSubjectError(f"{core.location} holds nobody called {name!r}")
        made = ensure_subject(change, name, metadata, consent)
        if isinstance(made, str):
            raise UsageError(made)
    return made


def add_subject(core: Core, name: str) -> Subject:
    """The person of that name, made without a template where there is nobody."""
    with core.change() as change:
        made = ensure_subject(change, name, None, None)
        if isinstance(made, str):
            raise UsageError(made)
    return made


def rename(core: Core, name: str, new: str) -> Subject:
    """Give a person another name, which nobody has."""
    with core.change() as change:
        found = change.writer.subject(name)
        if found is None:
            raise UnknownSubjectError(f"{core.location} holds nobody called {name!r}")
        if new != name and change.writer.find(new) is not None:
            raise UsageError(f"{core.location} holds somebody called {new!r} already")
        renamed = change.writer.put_subject(replace(found, name=new))
        change.log("rename", found.uid)
    return renamed


def remove_template(core: Core, search: Search, template: str) -> None:
    """Remove one template; its subject stays."""
    if not re.fullmatch(r"-?[0-9]{1,1000}", template):
        raise UsageError(f"{template!r} is not a template's number; gallery show lists them")
    key = max(min(int(template), (1 << 63) - 1), -(1 << 63))
    with core.change() as change:
        rows = change.writer.stored([key])
        if not rows:
            raise UnknownSubjectError(f"{core.location} holds no template {template}")
        # Nobody's, when a stranger or a flipped bit changed the number of its subject.
        owners = change.writer.raw.subjects_by_key([rows[0][1]]).values()
        core.remove(change, [key])
        change.log("remove-template", "".join(o.uid for o in owners), template=key)
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
    for subject in change.writer.raw.subjects_by_key(touched).values():
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
        if days is not None and (before := _days_before(today, days)) is not None:
            count += _remove_older(core, change, before, "retention")
    if change.header.scrub:  # a subject without templates counts too
        scrub(core, search)
    return count


def _days_before(today: datetime, days: int) -> datetime | None:
    try:
        return today - timedelta(days=days)
    except OverflowError:
        return None  # before the calendar begins, when nothing was enrolled


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
