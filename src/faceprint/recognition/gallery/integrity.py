"""Check a whole gallery, and tag all rows: of an older gallery, or after the owner edited them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery import privacy
from faceprint.recognition.gallery.audit import AuditReport, verify_chain
from faceprint.recognition.gallery.authenticated_reader import HINT
from faceprint.recognition.gallery.authentication import RowAuthenticator
from faceprint.recognition.gallery.context import Change, GalleryContext
from faceprint.recognition.gallery.crops import decode_crop
from faceprint.recognition.gallery.crypto import Sealer
from faceprint.recognition.gallery.records import Subject, TemplateRow
from faceprint.recognition.gallery.sql.rows import SubjectRow
from faceprint.recognition.gallery.vectors import unpack

__all__ = ["accept", "upgrade", "verify", "verify_audit"]

_MAX_PROBLEMS = 50
_TRIES = 20
_BATCH = 100
Item = TypeVar("Item")


def verify(context: GalleryContext) -> list[str]:
    """Check storage, records, crops, tags and the audit chain; give at most 50 problems."""
    problems = context.store.raw.check()
    header = context.store.header()
    sealer = context.store.sealer(header)
    if header.scrub:
        # Another process prevented the end of a deletion: finish it now, or report it.
        try:
            privacy.scrub(context, thorough=True)
        except GalleryError as error:
            problems.append(str(error))
    found = itertools.chain(
        _check_state(context), _check_subjects(context), _check_templates(context, sealer)
    )
    try:
        problems += itertools.islice(found, _MAX_PROBLEMS)
    except GalleryCorruptError as error:
        problems.append(f"records can't be read: {error}")
    problems += [f"audit: {problem}" for problem in verify_audit(context).problems]
    return problems[:_MAX_PROBLEMS]


def verify_audit(context: GalleryContext, anchor: str | None = None) -> AuditReport:
    """Check the log's chain against the head that the gallery keeps."""
    store = context.store
    for _ in range(_TRIES):
        header = store.header()
        report = verify_chain(store.raw.audit(), (header.audit_seq, header.audit_hash), anchor)
        # Lines may have been written while the log was read.
        if report.intact or store.header().audit_seq == header.audit_seq:
            break
    return report


def _check_state(context: GalleryContext) -> Iterator[str]:
    store = context.store
    for key in store.raw.orphans():
        yield f"template {key} belongs to no subject; faceprint gallery remove --template={key}"
    checks: tuple[Callable[[], None], ...] = (
        lambda: store.check_header(store.header()),
        store.check_set,
    )
    for check in checks:
        try:
            check()
        except GalleryCorruptError as error:
            yield _without_location(context, str(error))


def _check_subjects(context: GalleryContext) -> Iterator[str]:
    keys = context.store.raw.subject_keys()
    for _, found in _read_each(keys, context.store.subjects_by_key):
        if isinstance(found, str):
            yield _without_location(context, found)


def _check_templates(context: GalleryContext, sealer: Sealer) -> Iterator[str]:
    store, dim = context.store, context.store.header().model.dim
    owners: dict[int, Subject | None] = {}

    def read(keys: list[int]) -> dict[int, TemplateRow]:
        return {row.key: row for row in store.templates_by_key(keys, crops=True)}

    for key, row in _read_each(store.raw.keys()[0].tolist(), read):
        if key < 1:
            yield f"template {key} has a number that no gallery assigns"
        if isinstance(row, str):
            yield _without_location(context, row).removesuffix(HINT)
            continue
        if row.subject_key not in owners:
            owners[row.subject_key] = _read_owner(context, row.subject_key)
        owner = owners[row.subject_key]
        if owner is None:
            continue  # reported already
        try:
            vector, crop = sealer.open_template(row, owner.uid)
            unpack([vector], dim, f"template {row.id}")
            if crop is not None:
                decode_crop(crop, f"template {row.id}")
        except GalleryCorruptError as error:
            yield f"template {row.id}: {error}"


def _without_location(context: GalleryContext, problem: str) -> str:
    return problem.removeprefix(f"{context.location}: ")


def _read_each(
    keys: list[int], read: Callable[[list[int]], dict[int, Item]]
) -> Iterator[tuple[int, Item | str]]:
    """The item under each key, or why it can't be read; keys that are gone are skipped."""
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        try:
            yield from read(batch).items()
        except GalleryCorruptError:
            for key in batch:
                try:
                    yield from read([key]).items()
                except GalleryCorruptError as error:
                    yield key, str(error)


def _read_owner(context: GalleryContext, key: int) -> Subject | None:
    try:
        return context.store.subjects_by_key([key]).get(key)
    except GalleryCorruptError:
        return None


def upgrade(context: GalleryContext) -> bool:
    """Tag the rows of an older gallery, in one transaction; tell whether that was needed.

    In an encrypted gallery every record is sealed again, and names and metadata for the first
    time, so the bytes of the old rows are to be overwritten.
    """
    if context.store.raw.read_only or context.store.header().tag:
        return False
    with context.change() as change:
        if change.header.tag:
            return False
        _tag_all(context, change)
        encrypted = context.store.key is not None
        change.header = replace(change.header, scrub=change.header.scrub or encrypted)
        change.log("upgrade", version=2)
    return True


def accept(context: GalleryContext) -> int:
    """Tag all rows as they are, whatever their tags were; logged.

    Returns:
        How many rows had a wrong tag. Sealed rows that can't be opened stay as they are.
    """
    with context.change() as change:
        count = _tag_all(context, change)
        change.templates_changed = True
        change.log("accept", rows=count)
    return count


def _tag_all(context: GalleryContext, change: Change) -> int:
    raw, old = change.writer.raw, change.writer.authenticator()
    new = RowAuthenticator(context.store.key, change.header, legacy=False)
    change.writer.rewrite_with(new)
    uids: dict[int, str] = {}
    count = 0
    for key in raw.subject_keys():
        try:
            for row in raw.subjects_by_key([key]).values():
                uids[key] = row.uid
                if old.legacy or old.subject_tag(row) != row.tag:
                    change.writer.put_subject_row(_open_subject(old, row, context.location))
                    count += 1
        except GalleryCorruptError:
            continue  # its tag stays wrong, which `verify` reports
    for key in raw.keys()[0].tolist():
        try:
            for template in raw.templates_by_key([key], crops=True):
                uid = uids.get(template.subject_key, "")
                change.writer.replace_vector(_reseal(old, new, template, uid))
        except GalleryCorruptError:
            continue
    return count


def _open_subject(old: RowAuthenticator, row: SubjectRow, where: str) -> SubjectRow:
    return old.read_subject(row, where) if old.keyed and not old.legacy else row


def _reseal(
    old: RowAuthenticator, new: RowAuthenticator, row: TemplateRow, uid: str
) -> TemplateRow:
    if not old.keyed:
        return row
    vector, crop = old.sealer.open_template(row, uid)
    return new.sealer.seal_template(replace(row, source=old.open_source(row)), uid, vector, crop)
