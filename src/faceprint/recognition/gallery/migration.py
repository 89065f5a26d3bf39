"""Changing what every record is made with: another embedder, another key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from faceprint._files import file_of
from faceprint.errors import DecodeError, GalleryCorruptError, GalleryError, UsageError
from faceprint.geometry import iou_matrix
from faceprint.recognition.gallery import privacy
from faceprint.recognition.gallery.analyzer import Analyzer, pin_of
from faceprint.recognition.gallery.core import Core
from faceprint.recognition.gallery.crops import decode_crop, encode_crop
from faceprint.recognition.gallery.crypto import Key, Sealer
from faceprint.recognition.gallery.guard import Guard
from faceprint.recognition.gallery.guarded import GuardedReader
from faceprint.recognition.gallery.records import Header, Subject, TemplateRow
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.gallery.sources import content_of
from faceprint.recognition.gallery.vectors import pack, unpack
from faceprint.types import AnalyzedImage, Face, Image

__all__ = ["Migration", "Progress", "check_owners", "migrate", "rekey"]

_BATCH = 32
_SAME_FACE = 0.5
Progress = Callable[[int, int], None]
"""Called with how many templates are done, of how many."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of the templates: how each was embedded again, and which could not be."""

    from_crops: int
    from_sources: int
    missing: tuple[tuple[str, str, str], ...]
    """(template, subject, reason)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Renewed:
    """`crop` is a new one, made from the photograph; without it a kept one stays."""

    vector: bytes
    norm: float
    from_crop: bool
    crop: bytes | None = None


def migrate(
    core: Core,
    search: Search,
    analyzer: Analyzer,
    *,
    drop_missing: bool = False,
    progress: Progress | None = None,
) -> Migration:
    """Embed every template again and move the pin; names, numbers, metadata and consents stay.

    A kept crop serves when both models align alike, else the photograph it came from, if its bytes
    are still the same. Embedding happens outside of the transaction, and all new vectors (4 d bytes
    each) wait in memory for the one that replaces them; what was enrolled meanwhile is embedded in
    further rounds.

    Raises:
        GalleryError: templates that can't be embedded again, unless `drop_missing` removes them.
    """
    pin = pin_of(analyzer)
    start = core.store.header()
    if start.model.hash == pin.hash:
        raise UsageError(f"{core.location} belongs to {pin.id} already")
    check_owners(core.location, core.store)
    again = _Again(core, analyzer, progress or (lambda done, total: None))
    seen: set[int] = set()
    while True:
        again.run()
        if again.missing and not drop_missing:
            template, name, reason = next(iter(again.missing.values()))
            raise GalleryError(
                f"{core.location}: {len(again.missing)} templates can't be embedded again, such as "
                f"{template} of {name!r}: {reason}. Bring the photographs back, or pass "
                "--drop-missing to remove these templates"
            )
        with core.change(pin=start.model) as change:
            keys = {int(key) for key in change.writer.keys()[0]}
            left = keys - again.renewed.keys() - again.missing.keys()
            if left & seen:
                raise GalleryCorruptError(
                    f"{core.location}: template {min(left & seen)} can't be read again; faceprint "
                    "gallery verify says more"
                )
            seen |= keys
            if left:
                continue
            gone = sorted(keys & again.missing.keys())
            core.remove(change, gone)
            old = core.sealer(change.header)
            epoch = change.header.epoch + 1
            change.header = replace(change.header, model=pin, epoch=epoch, scrub=True)
            new = core.sealer(change.header)
            owners = {s.key: s for s in change.writer.subjects()}
            change.writer.renew(Guard(core.key, change.header))
            for row in change.writer.templates(crops=True):
                owner, fresh = owners.get(row.subject_key), again.renewed.get(row.key)
                if owner is None or fresh is None:
                    raise _disagree(core, row)
                change.writer.replace_vectors([_sealed(row, owner, fresh, old, new)])
            for owner in owners.values():
                change.writer.put_subject(owner)
            count = len(keys) - len(gone)
            change.log("migrate", model=pin.id, templates=count, dropped=len(gone))
        break
    privacy.scrub(core, search, thorough=True)
    crops = sum(again.renewed[key].from_crop for key in keys & again.renewed.keys())
    missing = tuple(again.missing[key] for key in gone)
    return Migration(crops, count - crops, missing)


def _sealed(
    row: TemplateRow, owner: Subject, fresh: _Renewed, old: Sealer, new: Sealer
) -> TemplateRow:
    crop = fresh.crop
    if crop is None and row.crop is not None and fresh.from_crop:
        crop = old.open(row.crop, owner.uid, row.content, "crop")
    if crop is not None:
        crop = new.seal(crop, owner.uid, row.content, "crop")
    vector = new.seal(fresh.vector, owner.uid, row.content, "vector")
    return replace(row, vector=vector, norm=fresh.norm, crop=crop)


class _Again:
    """Embeds templates again, in batches; each once, however often it runs."""

    def __init__(self, core: Core, analyzer: Analyzer, progress: Progress) -> None:
        self._core, self._analyzer, self._progress = core, analyzer, progress
        self._total = 0
        self.renewed: dict[int, _Renewed] = {}
        self.missing: dict[int, tuple[str, str, str]] = {}

    def run(self) -> None:
        """Every template that is new since the last run."""
        self._total = len(self._core.store.keys()[0])
        header = self._core.store.header()
        sealer, keep = self._core.sealer(header), header.policy.keep_crops
        same = header.model.alignment == pin_of(self._analyzer).alignment
        owners = {subject.key: subject for subject in self._core.store.subjects()}
        crops: list[tuple[TemplateRow, Image]] = []
        photographs: list[TemplateRow] = []
        for row in self._core.store.templates(crops=same):
            owner = owners.get(row.subject_key)
            if owner is None or row.key in self.renewed or row.key in self.missing:
                continue
            if row.crop is not None:
                plain = sealer.open(row.crop, owner.uid, row.content, "crop")
                crops.append((row, decode_crop(plain, f"template {row.id}")))
            elif reason := _lost(row):
                self.missing[row.key] = (row.id, owner.name, reason)
            else:
                photographs.append(replace(row, vector=b""))
            if len(crops) == _BATCH:
                self._from_crops(crops)
                crops = []
            if len(photographs) == _BATCH:
                self._from_sources(photographs, owners, keep)
                photographs = []
        self._from_crops(crops)
        self._from_sources(photographs, owners, keep)

    def _report(self) -> None:
        done = len(self.renewed) + len(self.missing)
        self._progress(done, max(done, self._total))

    def _from_crops(self, crops: list[tuple[TemplateRow, Image]]) -> None:
        if not crops:
            return
        embeddings = self._analyzer.embed_crops([crop for _, crop in crops])
        for (row, _), embedding in zip(crops, embeddings, strict=True):
            vector = pack(embedding.vector)
            self.renewed[row.key] = _Renewed(vector, float(embedding.norm), from_crop=True)
        self._report()

    def _from_sources(
        self, rows: list[TemplateRow], owners: Mapping[int, Subject], keep: bool
    ) -> None:
        if not rows:
            return
        found = self._analyzer.analyze_many([file_of(row.source) for row in rows], keep_crops=keep)
        for row, result in zip(rows, found, strict=True):
            face = _same_face(row, result)
            if isinstance(face, str):
                self.missing[row.key] = (row.id, owners[row.subject_key].name, face)
            elif face.embedding is not None:
                crop = None if face.crop is None else encode_crop(face.crop)
                vector, norm = pack(face.embedding.vector), float(face.embedding.norm)
                self.renewed[row.key] = _Renewed(vector, norm, False, crop)
        self._report()


def _lost(row: TemplateRow) -> str:
    """Why the photograph can't serve; empty when it can."""
    try:
        content, _ = content_of(file_of(row.source))
    except DecodeError:
        return f"no crop that fits was kept, and {row.source} can't be read"
    if content != row.content:
        return f"no crop that fits was kept, and {row.source} has changed since"
    return ""


def _same_face(row: TemplateRow, result: AnalyzedImage) -> Face | str:
    if result.error is not None:
        return str(result.error)
    if not result.faces:
        return f"no face found in {row.source}"
    if row.box is None:
        return result.faces[0]
    boxes = np.stack([face.box for face in result.faces])
    overlap = iou_matrix(np.asarray([row.box], np.float32), boxes)[0]
    best = int(overlap.argmax())
    # Another detector draws other boxes: one that merely overlaps best must still overlap well.
    if overlap[best] < _SAME_FACE:
        return f"the enrolled face was not found again in {row.source}"
    return result.faces[best]


def rekey(core: Core, search: Search, key: Key | None, progress: Progress | None = None) -> int:
    """Seal every record anew, in one transaction; how many. None leaves them in clear."""
    with core.change() as change:
        check_owners(core.location, change.writer)
        old = change.header
        new: Header = replace(old, key_id="" if key is None else key.id, epoch=old.epoch + 1)
        if new.key_id == old.key_id:
            raise UsageError(f"{core.location} is sealed with that key already (or with none)")
        opened = core.sealer(old)
        guard = Guard(key, new)
        sealed = guard.sealer
        owners = {subject.key: subject for subject in change.writer.subjects()}
        count, total = 0, len(change.writer.keys()[0])
        change.writer.renew(guard)
        for row in change.writer.templates(crops=True):
            owner = owners.get(row.subject_key)
            if owner is None:
                raise _disagree(core, row)
            vector = opened.open(row.vector, owner.uid, row.content, "vector")
            unpack([vector], old.model.dim, f"template {row.id}")
            crop = row.crop
            if crop is not None:
                plain = opened.open(crop, owner.uid, row.content, "crop")
                crop = sealed.seal(plain, owner.uid, row.content, "crop")
            vector = sealed.seal(vector, owner.uid, row.content, "vector")
            change.writer.replace_vectors([replace(row, vector=vector, crop=crop)])
            count += 1
            if progress is not None:
                progress(count, total)
        for owner in owners.values():
            change.writer.put_subject(owner)
        change.header = replace(new, scrub=True)
        change.log("rekey", key=new.key_id, templates=count)
    core.store.key = key
    try:
        privacy.scrub(core, search, thorough=True)
    except GalleryError as error:
        state = "in clear now" if key is None else f"sealed with key {key.id} now: keep that key"
        raise GalleryError(f"{core.location} is {state}. {error}") from error
    return count


def _disagree(core: Core, row: TemplateRow) -> GalleryCorruptError:
    """Of a damaged file whose tables and indexes tell different things."""
    return GalleryCorruptError(
        f"{core.location}: template {row.id} is not where the indexes have it; faceprint gallery "
        "verify says more"
    )


def check_owners(location: str, store: GuardedReader) -> None:
    """Refuse templates that belong to nobody.

    Raises:
        GalleryCorruptError: there are such templates.
    """
    orphans = store.orphans()
    if orphans:
        raise GalleryCorruptError(
            f"{location}: {len(orphans)} templates belong to nobody, such as {orphans[0]}; "
            f"faceprint gallery remove {location} --template={orphans[0]} removes it"
        )
