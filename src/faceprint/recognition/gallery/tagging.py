"""Tagging every row: of a gallery of an older version, or of one whose owner vouches for it."""

from __future__ import annotations

from dataclasses import replace

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.gallery.core import Change, Core
from faceprint.recognition.gallery.guard import Guard
from faceprint.recognition.gallery.records import SubjectRow, TemplateRow

__all__ = ["accept", "upgrade"]


def upgrade(core: Core) -> bool:
    """Bring the rows of an older gallery up to date, in one transaction; whether there was need.

    Of an encrypted gallery every record is sealed anew, names and metadata for the first time, so
    that the old rows' bytes are to be scrubbed.
    """
    if core.store.raw.read_only or core.store.header().tag:
        return False
    with core.change() as change:
        if change.header.tag:
            return False
        _tag_all(core, change)
        change.header = replace(change.header, scrub=change.header.scrub or bool(core.key))
        change.log("upgrade", version=2)
    return True


def accept(core: Core) -> int:
    """Take the rows as they are for right, whatever their tags say; logged.

    Returns:
        How many rows had a wrong tag. Sealed rows that do not open stay as they are.
    """
    with core.change() as change:
        count = _tag_all(core, change)
        change.templates_changed = True
        change.log("accept", rows=count)
    return count


def _tag_all(core: Core, change: Change) -> int:
    raw, old = change.writer.raw, change.writer.guard()
    new = Guard(core.key, change.header, legacy=False)
    change.writer.renew(new)
    uids: dict[int, str] = {}
    count = 0
    for key in raw.subject_keys():
        try:
            for row in raw.subjects_by_key([key]).values():
                uids[key] = row.uid
                wrong = old.legacy or old.subject_tag(row) != row.tag
                if wrong:
                    change.writer.put_subject_texts(_opened_subject(old, row, core.location))
                    count += 1
        except GalleryCorruptError:
            continue  # its tag stays wrong, which `verify` says
    for key in raw.keys()[0].tolist():
        try:
            for found in raw.templates_by_key([key], crops=True):
                change.writer.replace_vectors([_resealed(old, new, found, uids)])
        except GalleryCorruptError:
            continue
    return count


def _opened_subject(old: Guard, row: SubjectRow, where: str) -> SubjectRow:
    return old.read_subject(row, where) if old.keyed and not old.legacy else row


def _resealed(old: Guard, new: Guard, row: TemplateRow, uids: dict[int, str]) -> TemplateRow:
    if not old.keyed:
        return row
    uid = uids.get(row.subject_key, "")
    vector = old.sealer.open(row.vector, uid, row.content, "vector")
    crop = row.crop
    if crop is not None:
        crop = old.sealer.open(crop, uid, row.content, "crop")
        crop = new.sealer.seal(crop, uid, row.content, "crop")
    vector = new.sealer.seal(vector, uid, row.content, "vector")
    return replace(row, source=old.open_source(row), vector=vector, crop=crop)
