"""Export and import whole galleries."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

from faceprint._files import atomic_write
from faceprint._text import check_text
from faceprint.errors import (
    DatasetError,
    GalleryCorruptError,
    GalleryError,
    ModelMismatchError,
    UsageError,
)
from faceprint.recognition.gallery.analyzer import pin_of
from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.crops import decode_crop
from faceprint.recognition.gallery.factory import is_postgres
from faceprint.recognition.gallery.foreign.faces import LeftOut
from faceprint.recognition.gallery.foreign.layouts import SourceTable
from faceprint.recognition.gallery.foreign.source import (
    check_source,
    foreign_records,
    source_label,
)
from faceprint.recognition.gallery.records import (
    Consent,
    Header,
    ModelPin,
    Subject,
    TemplateRow,
    now,
    timestamp,
)
from faceprint.recognition.gallery.sql.rows import metadata_to_json
from faceprint.recognition.gallery.subjects import check_name, ensure_subject
from faceprint.recognition.gallery.transfer_files import Record, reader, writer
from faceprint.recognition.gallery.vectors import MAX_DIM, unpack
from faceprint.vision.analyzer import load

__all__ = ["Imported", "export", "import_", "pin_in"]

_FORMAT = "faceprint-gallery/1"
_MOST_SOURCE = 4096
_UNUSABLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    GalleryCorruptError,
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        templates, known: how many were added, and how many were there already.
        subjects: how many people they are of.
        unnamed: faces of another program that nobody named there; left out.
        faceless: photographs in which the other program found no face.
        notes: what else the user should know.
    """

    templates: int
    known: int
    subjects: int
    unnamed: int = 0
    faceless: int = 0
    notes: tuple[str, ...] = ()


def export(context: GalleryContext, path: Path) -> int:
    """Write every template, unencrypted, to a file that only its owner can read; logged.

    Raises:
        UsageError: a suffix other than .jsonl and .parquet.
        GalleryError: the file can't be written.
    """
    write = writer(path)
    header = context.store.header()
    context.store.sealer(header)
    context.store.check_orphans()
    with context.change() as change:
        # Before the first vector is written, so that an interrupted export is in the log too.
        change.log("export", templates=len(change.writer.raw.keys()[0]))
    count = 0

    def fill(file: IO[bytes]) -> None:
        nonlocal count
        count = write(file, _head(header), _records(context, header))

    try:
        atomic_write(path, fill, private=True)
    except OSError as error:
        raise GalleryError(f"{path} can't be written: {error.strerror or error}") from error
    return count


def _head(header: Header) -> Record:
    model = asdict(header.model)
    return {"format": _FORMAT, "model": model, "fusion": header.fusion, "exported": now()}


def _records(context: GalleryContext, header: Header) -> Iterator[Record]:
    sealer = context.store.sealer(header)
    owners: dict[int, Subject] = {}
    for row in context.store.templates(crops=True):
        if row.subject_key not in owners:
            owners |= context.store.subjects_by_key([row.subject_key])
        owner = owners.get(row.subject_key)
        if owner is None:
            continue  # removed in the meantime
        blob, crop = sealer.open_template(row, owner.uid)
        yield {
            "subject": owner.name,
            "metadata": json.dumps(dict(owner.metadata), ensure_ascii=False),
            "consent": None if owner.consent is None else json.dumps(asdict(owner.consent)),
            "content": row.image_sha256.hex(),
            "source": row.source,
            "box": None if row.box is None else list(row.box),
            "quality": row.quality,
            "norm": row.norm,
            "created": row.created,
            "vector": unpack([blob], header.model.dim, context.location)[0],
            "crop": crop,
        }


def pin_in(
    source: str | Path, embedder: str | None = None, table: SourceTable | None = None
) -> ModelPin:
    """The model whose vectors a file or database contains.

    Args:
        embedder: the card whose network made the embeddings of another program; None for an export.
        table: where they are in a database or its dump.

    Raises:
        DatasetError: not an export.
        ModelMismatchError: the file's name says that another network made it.
        UsageError: another suffix, or not an embedder.
        UnknownModelError: no such card.
    """
    if embedder is not None:
        pin = pin_of(load(embedder=embedder))
        check_source(str(source), pin.id, table)
        return pin
    if table is not None or is_postgres(str(source)):
        raise UsageError("a database needs the network that made its embeddings: --embedder ID")
    path = Path(source)
    records = _open(path)
    try:
        return _pin(path, next(records, {}))
    finally:
        records.close()


def _open(path: Path) -> Generator[Record, None, None]:
    read = reader(path)
    if not path.is_file():
        raise DatasetError(f"{path} is not a file")
    return read(path)


def import_(
    context: GalleryContext,
    source: str | Path,
    embedder: str | None = None,
    table: SourceTable | None = None,
) -> Imported:
    """Import the export of a gallery of the same model, in one transaction: all or nothing.

    Args:
        embedder: the card whose network made the embeddings of another program
            (`foreign.source.foreign_records`); None for an export.
        table: where they are, if the source is a database or its dump.

    Raises:
        ModelMismatchError: it contains another model's vectors.
        DatasetError: not an export, damaged or hostile; names the line. Nothing is imported.
        GalleryError: the database can't be reached.
        UsageError: another suffix.
    """
    pin = pin_in(source, embedder, table)
    left_out = LeftOut()
    label = source_label(str(source))
    header = context.store.header()
    if (pin.hash, pin.dim) != (header.model.hash, header.model.dim):
        raise ModelMismatchError(
            f"{label} contains vectors of {pin.id}, but the gallery uses {header.model.id}; import "
            "it into a new gallery and run faceprint gallery migrate there"
        )
    if embedder is None:
        records, first = _open(Path(source)), 2
        next(records, None)  # the head
        return _import_records(context, records, label, first)
    with foreign_records(str(source), pin.id, pin.dim, table, left_out) as found:
        done = _import_records(context, found, label, 1)
    return replace(
        done,
        unnamed=left_out.unnamed,
        faceless=left_out.faceless,
        notes=tuple(left_out.notes),
    )


def _import_records(
    context: GalleryContext, records: Iterator[Record], label: str, first: int
) -> Imported:
    """Import records; the first of them is line `first` of `label`."""
    header = context.store.header()
    added = known = 0
    subjects: dict[str, Subject] = {}
    with context.change(pin=header.model) as change:
        sealer = context.store.sealer(change.header)
        for number, record in enumerate(records, first):
            where = f"{label}, line {number}"
            subject, row, crop = _parse(record, header.model.dim, where)
            if subject.name not in subjects:
                existing = change.writer.subject(subject.name)
                metadata = None if existing else subject.metadata
                consent = None if existing else subject.consent
                try:
                    subjects[subject.name] = ensure_subject(change, subject.name, metadata, consent)
                except UsageError as error:
                    raise DatasetError(f"{where}: {error}") from error
            owner = subjects[subject.name]
            enrolled = change.writer.raw.find_images([row.image_sha256])
            if any(template.subject_key == owner.key for template in enrolled):
                known += 1
                continue
            row = replace(row, subject_key=owner.key)
            change.writer.put_template(sealer.seal_template(row, owner.uid, row.vector, crop))
            added += 1
        change.templates_changed = added > 0
        change.log("import", templates=added, known=known)
    return Imported(added, known, len(subjects))


def _pin(path: Path, head: Record) -> ModelPin:
    model = head.get("model")
    if head.get("format") != _FORMAT or not isinstance(model, dict):
        raise DatasetError(f"{path} is not an export of a faceprint gallery")
    dim, texts = model.get("dim"), [model.get(name) for name in ("id", "hash", "alignment")]
    sound = all(isinstance(text, str) and 0 < len(text) <= 256 for text in texts)
    if not sound or not isinstance(dim, int) or not 1 <= dim <= MAX_DIM:
        raise DatasetError(f"{path}: the description of its model is damaged")
    return ModelPin(str(texts[0]), str(texts[1]), dim, str(texts[2]))


def _parse(record: Record, dim: int, where: str) -> tuple[Subject, TemplateRow, bytes | None]:
    try:
        consent = record.get("consent")
        given = None if consent is None else Consent(**json.loads(consent))
        metadata = json.loads(record["metadata"])
        box = record.get("box")
        place = None if box is None else tuple(float(value) for value in box)
        quality = record.get("quality")
        row = TemplateRow(
            subject_key=0,
            image_sha256=bytes.fromhex(record["content"]),
            source=str(record["source"]),
            vector=record["vector"],
            box=place,  # type: ignore[arg-type]  # its length is checked below
            quality=None if quality is None else float(quality),
            norm=float(record["norm"]),
            # A date in the future would outlast every retention period.
            created=min(timestamp(datetime.fromisoformat(record["created"])), now()),
        )
        subject = Subject(check_name(str(record["subject"])), "", metadata, given)
        crop: bytes | None = record.get("crop")
        if crop is not None:
            decode_crop(crop, where)
        unpack([row.vector], dim, where)
        metadata_to_json(metadata)
        check_text(row.source, "source")
    except _UNUSABLE as error:
        raise DatasetError(f"{where}: {error}; nothing was imported") from error
    numbers = [row.norm, *(place or ()), *([] if row.quality is None else [row.quality])]
    if (
        len(row.image_sha256) != 32
        or len(row.source) > _MOST_SOURCE
        or not isinstance(metadata, dict)
        or (place is not None and len(place) != 4)
        or not all(math.isfinite(number) for number in numbers)
    ):
        raise DatasetError(f"{where}: a field that no export contains; nothing was imported")
    return subject, row, crop
