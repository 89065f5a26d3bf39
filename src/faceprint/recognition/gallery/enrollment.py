"""Enroll photographs as templates; each outcome is reported once it is durable, never before."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from faceprint._text import printable
from faceprint.errors import DecodeError, UsageError
from faceprint.recognition.gallery.analyzer import Analyzer, check_pin, pin_of
from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.crops import encode_crop
from faceprint.recognition.gallery.crypto import Sealer
from faceprint.recognition.gallery.enrolled_before import (
    Item,
    find_known,
    known_outcome,
    outcome_of_another,
)
from faceprint.recognition.gallery.face_choice import (
    FaceAt,
    FaceChoice,
    check_choice,
    choose_face,
)
from faceprint.recognition.gallery.records import (
    Consent,
    Enrolled,
    Outcome,
    Skipped,
    Subject,
    TemplateRow,
    now,
)
from faceprint.recognition.gallery.sources import image_digest
from faceprint.recognition.gallery.sql.rows import metadata_to_json
from faceprint.recognition.gallery.subjects import check_limit, check_name, ensure_subject
from faceprint.recognition.gallery.vectors import pack
from faceprint.recognition.thresholds.min_quality import (
    check_min_quality,
    objection,
    usable_quality,
)
from faceprint.types import AnalyzedImage, Face
from faceprint.vision import images

__all__ = ["EnrollOptions", "enroll"]


@dataclass(frozen=True, slots=True)
class EnrollOptions:
    """How photographs become templates.

    Attributes:
        faces: `largest` takes the largest face, `one` skips photographs that show several, a number
            takes that face, the largest being 1. With a number, other people of a photograph that
            is enrolled already can be enrolled too.
        min_quality: skip faces below this quality; None for the least that the embedder's card
            supports, 0 to take all.
        keep_crops: keep aligned crops; None for the gallery's policy.
        metadata, consent: replace those of the subject, if given.
        batch_size: photographs per transaction.
    """

    faces: FaceChoice = "largest"
    min_quality: float | None = None
    metadata: Mapping[str, Any] | None = None
    consent: Consent | None = None
    keep_crops: bool | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_choice(self.faces)
        if self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}, not a positive whole number")
        check_min_quality(self.min_quality)
        if self.metadata is not None:
            metadata_to_json(self.metadata)


class _Usable(NamedTuple):
    item: Item
    face: Face
    face_count: int


def enroll(
    context: GalleryContext,
    analyzer: Analyzer,
    pairs: Iterable[tuple[str, Any]],
    options: EnrollOptions,
) -> Iterator[Outcome]:
    """Enroll a stream of (subject, photograph); yield one outcome each, in order.

    A template, its subject, the lines in the audit log and the gallery's new generation are one
    transaction. An outcome is yielded after its commit has reached the disk.
    """
    header = context.store.header()
    pin = pin_of(analyzer)
    check_pin(context.location, header.model, pin)
    context.store.sealer(header)
    stream = iter(pairs)
    while batch := list(itertools.islice(stream, options.batch_size)):
        yield from _enroll_batch(context, analyzer, batch, options)


def _enroll_batch(
    context: GalleryContext,
    analyzer: Analyzer,
    batch: list[tuple[str, Any]],
    options: EnrollOptions,
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    items: dict[int, Item] = {}
    for place, (given, source) in enumerate(batch):
        try:
            name = check_name(given)
            box = None
            if isinstance(source, FaceAt):
                source, box = source.photograph, source.box
            digest, label = image_digest(source)
        except (DecodeError, UsageError) as error:
            outcomes[place] = Skipped(given, printable(images.describe(source)), str(error))
            continue
        chosen = box is not None or isinstance(options.faces, int)
        items[place] = Item(name, source, label, digest, box, chosen)
    known = find_known(context.store, [item.digest for item in items.values()])
    fresh: dict[int, Item] = {}
    for place, item in items.items():
        if item.digest in known and not item.chosen:
            outcomes[place] = known_outcome(item, known[item.digest])
        else:
            fresh[place] = item
    found = _analyze(context, analyzer, list(fresh.values()), options)
    least = usable_quality(analyzer.embedder_card, options.min_quality)
    usable: dict[int, _Usable] = {}
    for (place, item), result in zip(fresh.items(), found, strict=True):
        face = _choose(item, result, options, least)
        if isinstance(face, Skipped):
            outcomes[place] = face
        else:
            usable[place] = _Usable(item, face, len(result.faces))
    if usable:
        outcomes |= _store(context, analyzer, usable, options)
    _update_known(context, outcomes, options)
    return [outcomes[place] for place in range(len(batch))]


def _update_known(
    context: GalleryContext, outcomes: dict[int, Outcome], options: EnrollOptions
) -> None:
    """Update the metadata and consent of subjects whose photographs were enrolled already."""
    if options.metadata is None and options.consent is None:
        return
    names: dict[str, list[int]] = {}
    for place, outcome in outcomes.items():
        if isinstance(outcome, Enrolled) and not outcome.new:
            names.setdefault(outcome.subject, []).append(place)
    if not names:
        return
    with context.change() as change:
        for name, places in names.items():
            try:
                ensure_subject(change, name, options.metadata, options.consent)
            except UsageError as error:
                for place in places:
                    outcomes[place] = Skipped(name, outcomes[place].source, str(error))


def _analyze(
    context: GalleryContext, analyzer: Analyzer, items: list[Item], options: EnrollOptions
) -> list[AnalyzedImage]:
    if not items:
        return []
    keep = options.keep_crops
    if keep is None:
        keep = context.store.header().policy.keep_crops
    sources = [item.source for item in items]
    return list(analyzer.analyze_many(sources, batch_size=options.batch_size, keep_crops=keep))


def _choose(
    item: Item, result: AnalyzedImage, options: EnrollOptions, least: float | None
) -> Face | Skipped:
    if result.error is not None:
        return Skipped(item.name, item.label, str(result.error))
    face = choose_face(result.faces, options.faces, item.box)
    if isinstance(face, str):
        return Skipped(item.name, item.label, face)
    if face.embedding is None:
        return Skipped(item.name, item.label, "the face was not embedded")
    poor = objection(face.quality, least)
    if not poor:
        return face
    if options.min_quality is None:
        poor += ", and strangers may match it; --min-quality 0 (min_quality=0) enrolls it anyway"
    return Skipped(item.name, item.label, poor, poor=True)


def _store(
    context: GalleryContext,
    analyzer: Analyzer,
    usable: dict[int, _Usable],
    options: EnrollOptions,
) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    with context.change(pin=pin_of(analyzer)) as change:
        sealer = context.store.sealer(change.header)
        subjects: dict[str, Subject] = {}
        for place, (item, face, face_count) in usable.items():
            # Checked again: another process, or the same photograph twice in one batch.
            known = find_known(change.writer, [item.digest]).get(item.digest, {})
            if known and not item.chosen:
                outcomes[place] = known_outcome(item, known)
                continue
            if known and (there := outcome_of_another(change.writer, item, face, known)):
                outcomes[place] = there
                continue
            try:
                subject = subjects.get(item.name) or ensure_subject(
                    change, item.name, options.metadata, options.consent
                )
                subjects[item.name] = subject
                check_limit(subject, change.header.policy)
            except UsageError as error:
                outcomes[place] = Skipped(item.name, item.label, str(error))
                continue
            key = change.writer.put_template(_make_template(item, face, subject, sealer))
            change.templates_changed = True
            change.log("enroll", subject.uid, template=key)
            subjects[item.name] = replace(subject, templates=subject.templates + 1)
            outcomes[place] = Enrolled(item.name, str(key), item.label, True, face_count)
    return outcomes


def _stored_source(item: Item) -> str:
    # Absolute: `migrate` may be run in another folder.
    is_path = isinstance(item.source, str | os.PathLike)
    return printable(str(Path(item.source).absolute())) if is_path else item.label


def _make_template(item: Item, face: Face, subject: Subject, sealer: Sealer) -> TemplateRow:
    assert face.embedding is not None
    x1, y1, x2, y2 = (float(value) for value in face.box)
    vector = pack(face.embedding.vector)
    row = TemplateRow(
        subject_key=subject.key,
        image_sha256=item.digest,
        source=_stored_source(item),
        vector=vector,
        box=(x1, y1, x2, y2),
        quality=None if face.quality is None else float(face.quality.value),
        norm=float(face.embedding.norm),
        created=now(),
    )
    crop = None if face.crop is None else encode_crop(face.crop)
    return sealer.seal_template(row, subject.uid, vector, crop)
