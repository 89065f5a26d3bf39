"""From photographs to durable templates: each answered for once it is on disk, never before."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from faceprint._text import printable
from faceprint.errors import DecodeError, UsageError
from faceprint.recognition.gallery.analyzer import Analyzer, check_pin, pin_of
from faceprint.recognition.gallery.core import Change, Core, check_name
from faceprint.recognition.gallery.crops import encode_crop
from faceprint.recognition.gallery.crypto import Sealer
from faceprint.recognition.gallery.guarded import GuardedReader
from faceprint.recognition.gallery.records import (
    Consent,
    Enrolled,
    Outcome,
    Skipped,
    Subject,
    TemplateRow,
    now,
)
from faceprint.recognition.gallery.sources import content_of
from faceprint.recognition.gallery.sql_rows import metadata_to_json
from faceprint.recognition.gallery.vectors import pack
from faceprint.recognition.thresholds.min_quality import (
    check_min_quality,
    objection,
    usable_quality,
)
from faceprint.types import AnalyzedImage, Face
from faceprint.vision import images

__all__ = ["EnrollOptions", "FaceChoice", "enroll", "ensure_subject"]

FaceChoice = Literal["largest", "one"]


@dataclass(frozen=True, slots=True)
class EnrollOptions:
    """How photographs become templates.

    Attributes:
        faces: `largest` takes the largest face, `one` passes over photographs that show several.
        min_quality: skip faces below it; None for the embedder's limit, 0 takes all.
        keep_crops: keep aligned crops; None for what the gallery's policy says.
        metadata, consent: replace the subject's own when given.
        batch_size: photographs a transaction.
    """

    faces: FaceChoice = "largest"
    min_quality: float | None = None
    metadata: Mapping[str, Any] | None = None
    consent: Consent | None = None
    keep_crops: bool | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.faces not in get_args(FaceChoice):
            raise UsageError(f"faces is {self.faces!r}; enrollment takes largest or one")
        if self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}, not a positive whole number")
        check_min_quality(self.min_quality)
        if self.metadata is not None:
            metadata_to_json(self.metadata)


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    name: str
    source: Any
    label: str
    content: bytes


def enroll(
    core: Core,
    analyzer: Analyzer,
    pairs: Iterable[tuple[str, Any]],
    options: EnrollOptions,
) -> Iterator[Outcome]:
    """Enroll a stream of (subject, photograph); an outcome each, in order, once it is durable.

    Each template is one transaction, with its subject, the audit log and the new generation.
    """
    header = core.store.header()
    pin = pin_of(analyzer)
    check_pin(core.location, header.model, pin)
    core.sealer(header)
    stream = iter(pairs)
    while chunk := list(itertools.islice(stream, options.batch_size)):
        yield from _enroll_chunk(core, analyzer, chunk, options)


def _enroll_chunk(
    core: Core, analyzer: Analyzer, chunk: list[tuple[str, Any]], options: EnrollOptions
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    items: dict[int, _Item] = {}
    for place, (given, source) in enumerate(chunk):
        try:
            name = check_name(given)
            content, label = content_of(source)
        except (DecodeError, UsageError) as error:
            outcomes[place] = Skipped(given, printable(images.describe(source)), str(error))
            continue
        items[place] = _Item(name, source, label, content)
    known = _known(core.store, [item.content for item in items.values()])
    fresh: dict[int, _Item] = {}
    for place, item in items.items():
        if item.content in known:
            outcomes[place] = _already(item, known[item.content])
        else:
            fresh[place] = item
    _update_known(core, outcomes, options)
    found = _analyze(core, analyzer, list(fresh.values()), options)
    least = usable_quality(analyzer.embedder_card, options.min_quality)
    usable: dict[int, tuple[_Item, Face]] = {}
    for (place, item), result in zip(fresh.items(), found, strict=True):
        face = _choose(item, result, options, least)
        if isinstance(face, Skipped):
            outcomes[place] = face
        else:
            usable[place] = (item, face)
    if usable:
        shown = {place: len(r.faces) for place, r in zip(fresh, found, strict=True)}
        for place, outcome in _store(core, analyzer, usable, options).items():
            if isinstance(outcome, Enrolled) and outcome.new:
                outcome = replace(outcome, face_count=shown[place])
            outcomes[place] = outcome
    return [outcomes[place] for place in range(len(chunk))]


def _update_known(core: Core, outcomes: dict[int, Outcome], options: EnrollOptions) -> None:
    """Give those who were enrolled already the metadata and consent that are given again."""
    if options.metadata is None and options.consent is None:
        return
    names: dict[str, list[int]] = {}
    for place, outcome in outcomes.items():
        if isinstance(outcome, Enrolled):
            names.setdefault(outcome.subject, []).append(place)
    if not names:
        return
    with core.change() as change:
        for name, places in names.items():
            made = ensure_subject(change, name, options.metadata, options.consent)
            if isinstance(made, str):
                for place in places:
                    outcomes[place] = Skipped(name, outcomes[place].source, made)


def _known(store: GuardedReader, contents: list[bytes]) -> dict[bytes, dict[str, int]]:
    """Photographs that are enrolled: for whom, and as which template."""
    rows = store.find_content(contents)
    owners = store.subjects_by_key(sorted({subject for _, subject, _ in rows}))
    known: dict[bytes, dict[str, int]] = {}
    for content, subject, template in rows:
        # A subject removed between the two queries takes its templates along.
        if subject in owners:
            known.setdefault(content, {})[owners[subject].name] = template
    return known


def _already(item: _Item, places: Mapping[str, int]) -> Outcome:
    if item.name in places:
        return Enrolled(item.name, str(places[item.name]), item.label, new=False)
    whose = ", ".join(map(repr, places))
    return Skipped(item.name, item.label, f"the same photograph is enrolled for {whose}")


def _analyze(
    core: Core, analyzer: Analyzer, items: list[_Item], options: EnrollOptions
) -> list[AnalyzedImage]:
    if not items:
        return []
    keep = options.keep_crops
    if keep is None:
        keep = core.store.header().policy.keep_crops
    sources = [item.source for item in items]
    return list(analyzer.analyze_many(sources, batch_size=options.batch_size, keep_crops=keep))


def _choose(
    item: _Item, result: AnalyzedImage, options: EnrollOptions, least: float | None
) -> Face | Skipped:
    def skipped(reason: str) -> Skipped:
        return Skipped(item.name, item.label, reason)

    if result.error is not None:
        return skipped(str(result.error))
    if not result.faces:
        return skipped("no face found")
    if options.faces == "one" and len(result.faces) > 1:
        return skipped(f"{len(result.faces)} faces where exactly one was asked for")
    face = result.faces[0]
    if face.embedding is None:
        return skipped("the face was not embedded")
    problem = objection(face.quality, least)
    if not problem:
        return face
    if options.min_quality is None:
        problem += ", and strangers may match it; --min-quality 0 (min_quality=0) enrolls it anyway"
    return replace(skipped(problem), poor=True)


def _store(
    core: Core,
    analyzer: Analyzer,
    usable: dict[int, tuple[_Item, Face]],
    options: EnrollOptions,
) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    with core.change(pin=pin_of(analyzer)) as change:
        sealer = core.sealer(change.header)
        subjects: dict[str, Subject] = {}
        for place, (item, face) in usable.items():
            # Asked again: another process, or the same photograph twice in one batch.
            known = _known(change.writer, [item.content])
            if known:
                outcomes[place] = _already(item, known[item.content])
                continue
            if item.name not in subjects:
                made = ensure_subject(change, item.name, options.metadata, options.consent)
                if isinstance(made, str):
                    outcomes[place] = Skipped(item.name, item.label, made)
                    continue
                subjects[item.name] = made
            subject = subjects[item.name]
            limit = change.header.policy.max_templates
            if limit is not None and subject.templates >= limit:
                reason = (
                    f"{item.name!r} has {subject.templates} templates already, the policy's limit"
                )
                outcomes[place] = Skipped(item.name, item.label, reason)
                continue
            key = change.writer.put_template(_row(item, face, subject, sealer))
            change.templates_changed = True
            change.log("enroll", subject.uid, template=key)
            subjects[item.name] = replace(subject, templates=subject.templates + 1)
            outcomes[place] = Enrolled(item.name, str(key), item.label)
    return outcomes


def ensure_subject(
    change: Change, name: str, metadata: Mapping[str, Any] | None, consent: Consent | None
) -> Subject | str:
    """The person of that name, made or brought up to date inside a change.

    Where the policy asks for consent and there is none that holds: the reason, and no change.
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
            what = "has none" if held is None else f"has one that ended on {held.expires}"
            return (
                f"this gallery's policy asks for consent, and {name!r} {what}; enroll with "
                "--consent-basis (consent=Consent(...))"
            )
    if known is None or metadata is not None or consent is not None:
        subject = change.writer.put_subject(subject)
        change.log("subject" if known else "new-subject", subject.uid)
    return subject


def _kept_source(item: _Item) -> str:
    # Absolute, as `migrate` may look for it from another folder.
    is_path = isinstance(item.source, str | os.PathLike)
    return printable(str(Path(item.source).absolute())) if is_path else item.label


def _row(item: _Item, face: Face, subject: Subject, sealer: Sealer) -> TemplateRow:
    assert face.embedding is not None
    x1, y1, x2, y2 = (float(value) for value in face.box)
    crop = None if face.crop is None else encode_crop(face.crop)
    if crop is not None:
        crop = sealer.seal(crop, subject.uid, item.content, "crop")
    return TemplateRow(
        subject_key=subject.key,
        content=item.content,
        source=_kept_source(item),
        vector=sealer.seal(pack(face.embedding.vector), subject.uid, item.content, "vector"),
        box=(x1, y1, x2, y2),
        quality=None if face.quality is None else float(face.quality.value),
        norm=float(face.embedding.norm),
        created=now(),
        crop=crop,
        has_crop=crop is not None,
    )
