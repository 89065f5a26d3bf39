"""Reading a whole gallery to say whether it is sound."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery import privacy
from faceprint.recognition.gallery.audit import AuditReport, verify_chain
from faceprint.recognition.gallery.core import Core
from faceprint.recognition.gallery.crops import decode_crop
from faceprint.recognition.gallery.crypto import Sealer
from faceprint.recognition.gallery.guarded import HINT
from faceprint.recognition.gallery.records import Subject, TemplateRow
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.gallery.vectors import unpack

__all__ = ["verify", "verify_audit"]

_MOST = 50
_TRIES = 20
_BATCH = 100


def verify(core: Core, search: Search) -> list[str]:
    """Storage, records, crops, tags and the audit chain; at most 50 problems."""
    problems = core.store.check()
    header = core.store.header()
    sealer = core.sealer(header)
    if header.scrub:
        # A deletion that another process hindered: done now, or said to be still open.
        try:
            privacy.scrub(core, search, thorough=True)
        except GalleryError as error:
            problems.append(str(error))
    found = itertools.chain(
        _state(core), _subjects(core), _templates(core, sealer, header.model.dim)
    )
    try:
        problems += itertools.islice(found, _MOST)
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


def _state(core: Core) -> Iterator[str]:
    checks: tuple[Callable[[], None], ...] = (
        lambda: core.store.check_header(core.store.header()),
        core.store.check_set,
    )
    for key in core.store.orphans():
        yield f"template {key} belongs to nobody; faceprint gallery remove --template={key}"
    for check in checks:
        try:
            check()
        except GalleryCorruptError as error:
            yield str(error).removeprefix(f"{core.location}: ")


def _subjects(core: Core) -> Iterator[str]:
    for _, found in _each(core.store.subject_keys(), core.store.subjects_by_key):
        if isinstance(found, str):
            yield found.removeprefix(f"{core.location}: ")


def _templates(core: Core, sealer: Sealer, dim: int) -> Iterator[str]:
    owners: dict[int, Subject | None] = {}

    def read(keys: list[int]) -> dict[int, TemplateRow]:
        return {row.key: row for row in core.store.templates_by_key(keys, crops=True)}

    for key, row in _each(core.store.keys()[0].tolist(), read):
        if key < 1:
            yield f"template {key} has a number that no gallery gives"
        if isinstance(row, str):
            yield row.removeprefix(f"{core.location}: ").removesuffix(HINT)
            continue
        if row.subject_key not in owners:
            owners[row.subject_key] = _owner(core, row.subject_key)
        owner = owners[row.subject_key]
        if owner is None:
            continue  # named above
        try:
            blob = sealer.open(row.vector, owner.uid, row.content, "vector")
            unpack([blob], dim, f"template {row.id}")
            if row.crop is not None:
                plain = sealer.open(row.crop, owner.uid, row.content, "crop")
                decode_crop(plain, f"template {row.id}")
        except GalleryCorruptError as error:
            yield f"template {row.id}: {error}"


Item = TypeVar("Item")


def _each(
    keys: list[int], read: Callable[[list[int]], dict[int, Item]]
) -> Iterator[tuple[int, Item | str]]:
    """What is under each key, or why it can't be read; keys that are gone are passed over."""
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


def _owner(core: Core, key: int) -> Subject | None:
    try:
        return core.store.subjects_by_key([key]).get(key)
    except GalleryCorruptError:
        return None
