"""Create, read, update and rename subjects."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from faceprint.errors import UnknownSubjectError, UsageError
from faceprint.recognition.gallery.context import Change, GalleryContext
from faceprint.recognition.gallery.records import Consent, Policy, Subject, TemplateRow, now
from faceprint.recognition.gallery.vectors import unpack
from faceprint.types import Array

__all__ = [
    "add_subject",
    "check_consent",
    "check_limit",
    "check_name",
    "ensure_subject",
    "rename_subject",
    "subject_by_uid",
    "subject_templates",
    "subject_vectors",
    "update_subject",
]


def check_name(name: str) -> str:
    """A subject's name, normalized (NFC) so that one name has one spelling.

    Raises:
        UsageError: empty, longer than 256 characters, or with control characters.
    """
    import unicodedata

    clean = unicodedata.normalize("NFC", name).strip()
    if not clean or len(clean) > 256:
        raise UsageError(f"a subject's name has 1 to 256 characters; this one has {len(clean)}")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in clean):
        raise UsageError(f"the subject's name {clean!r} contains control characters")
    return clean


def ensure_subject(
    change: Change, name: str, metadata: Mapping[str, Any] | None, consent: Consent | None
) -> Subject:
    """The subject with that name, created or updated inside a change.

    Raises:
        UsageError: the policy requires consent, and there is no valid one; nothing was changed.
    """
    known = change.writer.subject(name)
    subject = known or Subject(name, secrets.token_hex(8), created=now())
    if metadata is not None:
        subject = replace(subject, metadata=dict(metadata))
    if consent is not None:
        subject = replace(subject, consent=consent)
    check_consent(subject, change.header.policy)
    if known is None or metadata is not None or consent is not None:
        subject = change.writer.put_subject(subject)
        change.log("subject" if known else "new-subject", subject.uid)
    return subject


def check_consent(subject: Subject, policy: Policy) -> None:
    """Raise UsageError if the policy requires a consent that the subject does not have."""
    if not policy.require_consent:
        return
    held = subject.consent
    if held is None or not held.valid_at(now()):
        what = "has none" if held is None else f"has one that expired on {held.expires}"
        raise UsageError(
            f"this gallery's policy requires consent, and {subject.name!r} {what}; give "
            "--consent BASIS (consent=Consent(...))"
        )


def check_limit(subject: Subject, policy: Policy, more: int = 1) -> None:
    """Raise UsageError if the policy does not allow the subject so many more templates."""
    if policy.max_templates is not None and subject.templates + more > policy.max_templates:
        raise UsageError(
            f"{subject.name!r} has {subject.templates} templates, and the policy's limit is "
            f"{policy.max_templates}"
        )


def update_subject(
    context: GalleryContext, name: str, metadata: Mapping[str, Any] | None, consent: Consent | None
) -> Subject:
    """Replace a subject's metadata or consent; None keeps what is there."""
    name = check_name(name)
    with context.change() as change:
        change.writer.find(name)
        return ensure_subject(change, name, metadata, consent)


def add_subject(context: GalleryContext, name: str) -> Subject:
    """The subject with that name, added without templates if there is none."""
    with context.change() as change:
        return ensure_subject(change, check_name(name), None, None)


def rename_subject(context: GalleryContext, name: str, new: str) -> Subject:
    """Give a subject another name.

    Raises:
        UnknownSubjectError: no subject has the old name.
        UsageError: another subject has the new name.
    """
    with context.change() as change:
        found = change.writer.require_subject(check_name(name))
        new = check_name(new)
        if new != found.name and change.writer.subject(new) is not None:
            raise UsageError(
                f"{context.location} has a subject named {new!r} already; if both are one person: "
                "gallery merge (Gallery.merge)"
            )
        renamed = change.writer.put_subject(replace(found, name=new))
        change.log("rename", found.uid)
        return renamed


def subject_by_uid(context: GalleryContext, uid: str) -> Subject:
    """The subject with that id; raises UnknownSubjectError if there is none."""
    found = context.store.subject_by_uid(uid)
    if found is None:
        raise UnknownSubjectError(f"no subject has the id {uid!r}")
    return found


def subject_templates(context: GalleryContext, name: str) -> tuple[Subject, list[TemplateRow]]:
    """A subject and its templates; vectors may be sealed."""
    found = context.store.require_subject(check_name(name))
    return found, list(context.store.templates(subject_key=found.key))


def subject_vectors(context: GalleryContext, name: str) -> Array:
    """(n, d) vectors of a subject's templates, in their order."""
    header = context.store.header()
    sealer = context.store.sealer(header)
    found, rows = subject_templates(context, name)
    vectors = [sealer.open_template(row, found.uid)[0] for row in rows]
    return unpack(vectors, header.model.dim, context.location)
