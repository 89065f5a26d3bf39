"""Merge subjects that turned out to be one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faceprint.errors import UsageError
from faceprint.recognition.gallery.context import Change, GalleryContext
from faceprint.recognition.gallery.privacy import scrub
from faceprint.recognition.gallery.records import Consent, Subject
from faceprint.recognition.gallery.subjects import check_consent, check_limit, check_name

__all__ = ["Merged", "merge_subjects"]


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge.

    Attributes:
        subject: the subject that remains.
        templates: how many templates moved to it.
        conflicts: in words, what differed between the subjects and which value was kept.
    """

    subject: Subject
    templates: int
    conflicts: tuple[str, ...]


def merge_subjects(context: GalleryContext, into: str, names: Sequence[str]) -> Merged:
    """Move the templates of some subjects to another one, and remove the empty subjects.

    Templates keep their numbers. The subject that remains keeps its name, consent and metadata,
    and gets what it lacks from the others; of two consents the earlier end holds.

    Raises:
        UnknownSubjectError: one of them does not exist.
        UsageError: no subject or only `into` itself to merge; two of them have a template of the
            same photograph; the policy does not allow the result. Nothing was changed.
        GalleryError: another process prevents the overwriting of the old names; the merge is
            stored.
    """
    target_name = check_name(into)
    others = list(dict.fromkeys(map(check_name, names)))
    if not others:
        raise UsageError(f"name the subjects to merge into {target_name!r}")
    if target_name in others:
        raise UsageError(f"{target_name!r} can't be merged into itself")
    conflicts: list[str] = []
    count = 0
    with context.change() as change:
        target = change.writer.require_subject(target_name)
        owned = {
            row.image_sha256: row.id for row in change.writer.templates(subject_key=target.key)
        }
        merged = target
        for name in others:
            other = change.writer.require_subject(name)
            moved = _move_templates(context, change, other, merged, owned)
            merged = replace(_combined(merged, other, conflicts), templates=len(owned))
            change.writer.delete_subject(other.key)
            change.log("merge", target.uid, merged=other.uid, templates=moved)
            count += moved
        policy = change.header.policy
        check_consent(merged, policy)
        check_limit(merged, policy, more=0)
        change.writer.put_subject(merged)
        change.templates_changed = True
        # Where records are sealed for a subject, they were sealed again in place.
        epoch = change.header.epoch + bool(change.header.key_id)
        change.header = replace(change.header, epoch=epoch, scrub=True)
    scrub(context)
    return Merged(merged, count, tuple(conflicts))


def _move_templates(
    context: GalleryContext,
    change: Change,
    other: Subject,
    target: Subject,
    owned: dict[bytes, str],
) -> int:
    """Move a subject's templates; `owned` has the target's, by photograph, and gets the moved."""
    sealer = context.store.sealer(change.header)
    count = 0
    for row in change.writer.templates(subject_key=other.key, crops=True):
        if row.image_sha256 in owned:
            raise UsageError(
                f"template {owned[row.image_sha256]} of {target.name!r} and template {row.id} of "
                f"{other.name!r} are of the same photograph ({row.source}); remove one of them "
                "first: gallery remove --template N"
            )
        vector, crop = sealer.open_template(row, other.uid)
        moved = replace(row, subject_key=target.key)
        change.writer.move_template(sealer.seal_template(moved, target.uid, vector, crop))
        owned[row.image_sha256] = row.id
        count += 1
    return count


def _combined(target: Subject, other: Subject, conflicts: list[str]) -> Subject:
    """The target with what it lacks of the other; what differs is noted."""
    metadata = dict(target.metadata)
    for key, value in other.metadata.items():
        kept = metadata.setdefault(key, value)
        if kept != value:
            conflicts.append(f"metadata {key!r}: kept {kept!r}, not {value!r} of {other.name!r}")
    consent = _stricter(target.consent, other.consent)
    if target.consent is not None and other.consent not in (None, target.consent):
        end = "no end" if consent is None or consent.expires is None else consent.expires[:10]
        conflicts.append(
            f"consent: kept {target.consent.basis!r} with the earlier end ({end}), not that of "
            f"{other.name!r}"
        )
    return replace(target, metadata=metadata, consent=consent)


def _stricter(first: Consent | None, second: Consent | None) -> Consent | None:
    if first is None or second is None:
        return first or second
    ends = [consent.expires for consent in (first, second) if consent.expires is not None]
    return replace(first, expires=min(ends, default=None))
