"""Create and update subjects."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from faceprint.errors import UsageError
from faceprint.recognition.gallery.context import Change, GalleryContext
from faceprint.recognition.gallery.records import Consent, Policy, Subject, now

__all__ = ["check_limit", "check_name", "ensure_subject", "update_subject"]


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
    if change.header.policy.require_consent:
        held = subject.consent
        if held is None or not held.valid_at(now()):
            what = "has none" if held is None else f"has one that expired on {held.expires}"
            raise UsageError(
                f"this gallery's policy requires consent, and {name!r} {what}; enroll with "
                "--consent BASIS (consent=Consent(...))"
            )
    if known is None or metadata is not None or consent is not None:
        subject = change.writer.put_subject(subject)
        change.log("subject" if known else "new-subject", subject.uid)
    return subject


def check_limit(subject: Subject, policy: Policy) -> None:
    """Raise UsageError if the policy allows the subject no further template."""
    if policy.max_templates is not None and subject.templates >= policy.max_templates:
        count = subject.templates
        raise UsageError(f"{subject.name!r} has {count} templates already, the policy's limit")


def update_subject(
    context: GalleryContext, name: str, metadata: Mapping[str, Any] | None, consent: Consent | None
) -> Subject:
    """Replace a subject's metadata or consent; None keeps what is there."""
    with context.change() as change:
        change.writer.find(name)
        return ensure_subject(change, name, metadata, consent)
