"""Migrate a gallery to another embedder, or to another key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from faceprint._files import file_of
from faceprint._text import counted
from faceprint.errors import DecodeError, GalleryCorruptError, GalleryError, UsageError
from faceprint.recognition.gallery import privacy
from faceprint.recognition.gallery.analyzer import Analyzer, pin_of
from faceprint.recognition.gallery.authenticated_reader import HINT
from faceprint.recognition.gallery.authentication import RowAuthenticator
from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.crops import decode_crop, encode_crop
from faceprint.recognition.gallery.crypto import Key, Sealer
from faceprint.recognition.gallery.face_choice import face_at
from faceprint.recognition.gallery.records import Header, Subject, TemplateRow
from faceprint.recognition.gallery.sources import image_digest
from faceprint.recognition.gallery.vectors import pack, unpack
from faceprint.types import AnalyzedImage, Face, Image

__all__ = ["Migration", "Progress", "migrate", "rekey"]

_BATCH = 32
Progress = Callable[[int, int], None]
"""Called with the number of templates done, and their total."""


@dataclass(frozen=True, slots=True)
class Migration:
    """How many templates were embedded again from what, and which could not be."""

    from_crops: int
    from_sources: int
    missing: tuple[tuple[str, str, str], ...]
    """(template, subject, reason)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Reembedded:
    """`crop` is new, made from the photograph; None keeps the old crop."""

    vector: bytes
    norm: float
    from_crop: bool
    crop: bytes | None = None


def migrate(
    context: GalleryContext,
    analyzer: Analyzer,
    drop_missing: bool = False,
    progress: Progress | None = None,
) -> Migration:
    """Embed every template with another model; names, numbers, metadata and consents stay.

    Uses the kept crop if both models align faces the same way, otherwise the photograph, if its
    bytes are unchanged. Embedding happens before the transaction; all new vectors (4 d bytes each)
    are in memory until it replaces the old ones. Templates enrolled meanwhile take further rounds.

    Raises:
        GalleryError: templates that can't be embedded again, unless `drop_missing` removes them.
    """
    pin = pin_of(analyzer)
    start = context.store.header()
    if start.model.hash == pin.hash:
        raise UsageError(f"{context.location} uses {pin.id} already")
    context.store.check_orphans()
    reembedder = _Reembedder(context, analyzer, progress or (lambda done, total: None))
    seen: set[int] = set()
    while True:
        reembedder.run()
        if reembedder.missing and not drop_missing:
            template, name, reason = next(iter(reembedder.missing.values()))
            raise GalleryError(
                f"{context.location}: {counted(len(reembedder.missing), 'template', 'templates')} "
                f"can't be embedded again, such as {template} of {name!r}: {reason}. Restore the "
                "photographs, or pass --drop-missing to remove these templates"
            )
        with context.change(pin=start.model) as change:
            keys = {int(key) for key in change.writer.raw.keys()[0]}
            left = keys - reembedder.renewed.keys() - reembedder.missing.keys()
            if left & seen:
                raise GalleryCorruptError(
                    f"{context.location}: template {min(left & seen)} can't be read again{HINT}"
                )
            seen |= keys
            if left:
                continue
            gone = sorted(keys & reembedder.missing.keys())
            context.delete_templates(change, gone)
            old = context.store.sealer(change.header)
            epoch = change.header.epoch + 1
            change.header = replace(change.header, model=pin, epoch=epoch, scrub=True)
            new = context.store.sealer(change.header)
            owners = {s.key: s for s in change.writer.subjects()}
            change.writer.rewrite_with(RowAuthenticator(context.store.key, change.header))
            for row in change.writer.templates(crops=True):
                owner, fresh = owners.get(row.subject_key), reembedder.renewed.get(row.key)
                if owner is None or fresh is None:
                    raise _inconsistent(context, row)
                change.writer.replace_vector(_reseal(row, owner, fresh, old, new))
            for owner in owners.values():
                change.writer.put_subject(owner)
            count = len(keys) - len(gone)
            change.log("migrate", model=pin.id, templates=count, dropped=len(gone))
        break
    privacy.scrub(context, thorough=True)
    crops = sum(reembedder.renewed[key].from_crop for key in keys & reembedder.renewed.keys())
    missing = tuple(reembedder.missing[key] for key in gone)
    return Migration(crops, count - crops, missing)


def _reseal(
    row: TemplateRow, owner: Subject, fresh: _Reembedded, old: Sealer, new: Sealer
) -> TemplateRow:
    crop = fresh.crop
    if crop is None and row.crop is not None and fresh.from_crop:
        crop = old.open(row.crop, owner.uid, row.image_sha256, "crop")
    return new.seal_template(replace(row, norm=fresh.norm), owner.uid, fresh.vector, crop)


class _Reembedder:
    """Embeds templates again, in batches, each once however often it runs."""

    def __init__(self, context: GalleryContext, analyzer: Analyzer, progress: Progress) -> None:
        self._context, self._analyzer, self._progress = context, analyzer, progress
        self._total = 0
        self.renewed: dict[int, _Reembedded] = {}
        self.missing: dict[int, tuple[str, str, str]] = {}

    def run(self) -> None:
        """Every template that is new since the last run."""
        self._total = len(self._context.store.raw.keys()[0])
        header = self._context.store.header()
        sealer, keep = self._context.store.sealer(header), header.policy.keep_crops
        same = header.model.alignment == pin_of(self._analyzer).alignment
        owners = {subject.key: subject for subject in self._context.store.subjects()}
        crops: list[tuple[TemplateRow, Image]] = []
        photographs: list[TemplateRow] = []
        for row in self._context.store.templates(crops=same):
            owner = owners.get(row.subject_key)
            if owner is None or row.key in self.renewed or row.key in self.missing:
                continue
            if row.crop is not None:
                plain = sealer.open(row.crop, owner.uid, row.image_sha256, "crop")
                crops.append((row, decode_crop(plain, f"template {row.id}")))
            elif reason := _why_unusable(row):
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
            self.renewed[row.key] = _Reembedded(vector, float(embedding.norm), from_crop=True)
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
                self.renewed[row.key] = _Reembedded(vector, norm, False, crop)
        self._report()


def _why_unusable(row: TemplateRow) -> str:
    """Why the photograph can't be used; empty if it can."""
    try:
        digest, _ = image_digest(file_of(row.source))
    except DecodeError:
        return f"no usable crop was kept, and {row.source} can't be read"
    if digest != row.image_sha256:
        return f"no usable crop was kept, and {row.source} was changed"
    return ""


def _same_face(row: TemplateRow, result: AnalyzedImage) -> Face | str:
    if result.error is not None:
        return str(result.error)
    if not result.faces:
        return f"no face found in {row.source}"
    if row.box is None:
        return result.faces[0]
    found = face_at(row.box, result.faces)
    return found or f"the enrolled face was not found again in {row.source}"


def rekey(context: GalleryContext, key: Key | None, progress: Progress | None = None) -> int:
    """Seal every record with another key, or decrypt (None), in one transaction; give the count."""
    with context.change() as change:
        change.writer.check_orphans()
        old = change.header
        new: Header = replace(old, key_id="" if key is None else key.id, epoch=old.epoch + 1)
        if new.key_id == old.key_id:
            state = f"encrypted with key {key.id}" if key else "unencrypted"
            raise UsageError(f"{context.location} is {state} already")
        opened = context.store.sealer(old)
        rows = RowAuthenticator(key, new)
        sealer = rows.sealer
        owners = {subject.key: subject for subject in change.writer.subjects()}
        count, total = 0, len(change.writer.raw.keys()[0])
        change.writer.rewrite_with(rows)
        for row in change.writer.templates(crops=True):
            owner = owners.get(row.subject_key)
            if owner is None:
                raise _inconsistent(context, row)
            vector, crop = opened.open_template(row, owner.uid)
            unpack([vector], old.model.dim, f"template {row.id}")
            change.writer.replace_vector(sealer.seal_template(row, owner.uid, vector, crop))
            count += 1
            if progress is not None:
                progress(count, total)
        for owner in owners.values():
            change.writer.put_subject(owner)
        change.header = replace(new, scrub=True)
        change.log("rekey", key=new.key_id, templates=count)
    context.store.key = key
    try:
        privacy.scrub(context, thorough=True)
    except GalleryError as error:
        state = "decrypted" if key is None else f"encrypted with key {key.id} now: keep that key"
        raise GalleryError(f"{context.location} is {state}. {error}") from error
    return count


def _inconsistent(context: GalleryContext, row: TemplateRow) -> GalleryCorruptError:
    """For a damaged file whose tables and indexes differ."""
    return GalleryCorruptError(
        f"{context.location}: template {row.id} is not where the indexes say it is{HINT}"
    )
