"""Reading a whole gallery to say whether it is sound."""

from __future__ import annotations

from collections.abc import Iterator

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.gallery import privacy
from faceprint.recognition.gallery.audit import AuditReport, verify_chain
from faceprint.recognition.gallery.core import Core
from faceprint.recognition.gallery.crops import decode_crop
from faceprint.recognition.gallery.crypto import Sealer
from faceprint.recognition.gallery.records import Subject
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.gallery.vectors import unpack

__all__ = ["verify", "verify_audit"]

_MOST = 50
_TRIES = 20


def verify(core: Core, search: Search) -> list[str]:
    """Storage, records, crops and the audit chain; at most 50 problems."""
    problems = core.store.check()
    header = core.store.header()
    if header.scrub:
        # A deletion that another process hindered: done now, or said to be still open.
        privacy.scrub(core, search)
    sealer = core.sealer(header)
    try:
        for problem in _records(core, sealer, header.model.dim):
            problems.append(problem)
            if len(problems) >= _MOST:
                break
    except GalleryCorruptError as error:
        problems.append(f"records can't be read: {error}")
    problems += [f"audit: {problem}" for problem in verify_audit(core).problems]
    return problems[:_MOST]


def verify_audit(core: Core, anchor: str | None = None) -> AuditReport:
    """The log's chain, against the head that the gallery keeps."""
    for _ in range(_TRIES):
        header = core.store.header()
        report = verify_chain(core.store.audit(), (header.audit_seq, header.audit_hash), anchor)
        # Lines written while the log was read are no forgery.
        if report.intact or core.store.header().audit_seq == header.audit_seq:
            break
    return report


def _records(core: Core, sealer: Sealer, dim: int) -> Iterator[str]:
    owners: dict[int, Subject] = {subject.key: subject for subject in core.store.subjects()}
    for row in core.store.templates(crops=True):
        owner = owners.get(row.subject_key)
        if owner is None:
            if not core.store.subjects_by_key([row.subject_key]):
                yield f"template {row.id} belongs to nobody"
            continue  # else somebody who was enrolled meanwhile
        try:
            blob = sealer.open(row.vector, owner.uid, row.content, "vector")
            unpack([blob], dim, f"template {row.id}")
            if row.crop is not None:
                plain = sealer.open(row.crop, owner.uid, row.content, "crop")
                decode_crop(plain, f"template {row.id}")
        except GalleryCorruptError as error:
            yield f"template {row.id}: {error}"
