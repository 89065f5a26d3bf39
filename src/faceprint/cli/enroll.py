"""`faceprint enroll`: add people's templates to a gallery."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint._files import file_of, is_gone
from faceprint._text import printable
from faceprint.cli import completion, options
from faceprint.cli.enroll_named import named_faces, names_by_number
from faceprint.cli.exit_codes import DONE, INPUT
from faceprint.cli.gallery_options import (
    ConsentBasis,
    ConsentExpires,
    ConsentGiven,
    ConsentReference,
    KeyFile,
    Location,
    announced,
    consent_of,
    gallery_exists,
    load_for,
    metadata_of,
)
from faceprint.cli.output import note, print_json, say, search_notes
from faceprint.cli.progress import progress
from faceprint.errors import InputError, SourceNotFoundError, UsageError

if TYPE_CHECKING:
    from faceprint.recognition.gallery import EnrollOptions, Gallery, Outcome, Policy
    from faceprint.vision.search_report import SearchReport

__all__ = ["enroll"]

_Pair = tuple[str, Any]
"""A subject and a photograph."""


@options.with_model_options(*options.STREAM)
def enroll(
    gallery: Location,
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUBJECT]",
            help="Who is in the photographs.",
            autocompletion=completion.subjects,
        ),
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMG...]", help="Photographs or folders.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="A folder with one folder per subject."),
    ] = None,
    album: Annotated[
        Path | None,
        typer.Option(
            "--from-album", metavar="ALBUM", help="Named people of an album made by cluster --out."
        ),
    ] = None,
    per_person: Annotated[
        int,
        typer.Option(
            "--per-person", metavar="N", min=1, help="Photographs of each, from an album."
        ),
    ] = 10,
    faces: Annotated[
        str,
        typer.Option(
            "--faces",
            "--face",
            metavar="RULE|N",
            help="Of several faces: the largest, one (skip the photograph), or number N, as detect "
            "--draw shows it.",
        ),
    ] = "largest",
    named: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="N=NAME",
            help="Face N of the one photograph is NAME; repeatable, without SUBJECT.",
        ),
    ] = None,
    min_quality: Annotated[
        float | None,
        typer.Option(
            "--min-quality",
            min=0,
            max=1,
            help="Skip faces below this quality; 0 takes all. [the least the embedder supports]",
        ),
    ] = None,
    metadata: Annotated[
        str | None, typer.Option("--metadata", metavar="JSON", help="Metadata of the subject.")
    ] = None,
    consent: ConsentBasis = None,
    consent_given: ConsentGiven = None,
    consent_expires: ConsentExpires = None,
    consent_reference: ConsentReference = "",
    keep_crops: Annotated[
        bool | None,
        typer.Option(
            "--keep-crops/--no-keep-crops",
            help="Store aligned crops: migrate then needs no photographs. [the gallery's policy]",
        ),
    ] = None,
    require_consent: Annotated[
        bool, typer.Option("--require-consent", help="Policy of a new gallery.")
    ] = False,
    fusion: Annotated[
        str | None,
        typer.Option(
            "--fusion",
            help="How a new gallery combines templates: max or mean. [max]",
            autocompletion=completion.choices("max", "mean"),
        ),
    ] = None,
    exclude: options.Exclude = None,
    key_file: KeyFile = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Add templates; create the gallery if there is none. Exit code 3: some could not be used.

    Several people of one photograph: GALLERY IMG --as 1=ada --as 3=bob, by the numbers that detect
    --draw shows. --from-album enrolls the people that have a name, by their most typical faces.

    JSON lines, each once its template is on disk: subject, template, source, new (false: it was
    enrolled before), face_count if new. If a photograph was not used, template is null and reason
    says why.
    """
    from faceprint.recognition.gallery import EnrollOptions, Gallery
    from faceprint.recognition.gallery.crypto import read_key_file
    from faceprint.vision.search_report import SearchReport

    search = SearchReport()
    if min_quality != min_quality:
        raise UsageError("--min-quality is nan; give a number from 0 to 1")
    names = names_by_number(named or ())
    if names:
        photographs = [*([] if subject is None else [Path(subject)]), *(images or [])]
        if len(photographs) != 1 or faces != "largest" or folder or album:
            raise UsageError(
                "--as goes with one photograph alone: GALLERY IMG --as 1=ada --as 2=bob"
            )
        pairs: list[_Pair] = [(name, photographs[0]) for name in names.values()]
    else:
        given = (album, per_person)
        pairs = list(_pairs(subject, images or [], folder, given, exclude or (), search))
    search_notes(search)
    if not pairs and search.unreadable:
        raise InputError("no photographs: the files and folders given can't be read")
    if not pairs:
        raise UsageError("no photographs found in the files and folders given")
    chosen = EnrollOptions(
        faces=int(faces) if re.fullmatch("[0-9]{1,9}", faces) else faces,  # type: ignore[arg-type]  # checked there
        min_quality=min_quality,
        metadata=None if metadata is None else metadata_of(metadata),
        consent=consent_of(consent, consent_given, consent_expires, consent_reference),
        keep_crops=keep_crops,
    )
    fp = load_for(gallery, models, _album_embedder(album))
    if names:
        # Before the gallery is created: a wrong number should not leave one behind.
        pairs = list(named_faces(fp, photographs[0], names))
    opened = announced(
        Gallery.open(
            gallery,
            fp,
            fusion=fusion,  # type: ignore[arg-type]  # checked there
            policy=_policy(gallery, keep_crops, require_consent),
            key=None if key_file is None else read_key_file(key_file),
        )
    )
    with opened:
        guessed = faces == "largest" and album is None and not names
        skipped = _enroll_all(opened, pairs, chosen, as_json, guessed)
    return INPUT if skipped or search.unreadable else DONE


def _enroll_all(
    opened: Gallery, pairs: list[_Pair], chosen: EnrollOptions, as_json: bool, guessed: bool
) -> int:
    """Enroll and print; give how many were not used. `guessed`: nobody said which face is meant."""
    from faceprint.recognition.gallery import Skipped

    new = known = skipped = poor = 0
    show = progress("photographs")
    for done, outcome in enumerate(opened.enroll_many(pairs, chosen), 1):
        line = _line(outcome)
        new += line.get("new") is True
        known += line.get("new") is False
        skipped += line["template"] is None
        poor += isinstance(outcome, Skipped) and outcome.poor
        if as_json:
            print_json(line, stream=True)
        if line["template"] is None:
            note(f"{line['source']}: not used: {line['reason']}")
        elif not as_json:
            there = "" if line["new"] else " (already enrolled)"
            say(f"{line['subject']}: template {line['template']}{there}")
        if guessed and (line.get("face_count") or 1) > 1:
            count = line["face_count"]
            note(f"{line['source']}: {count} faces, the largest was enrolled; see --faces")
        if len(pairs) > 1:
            show(done, len(pairs))
    because = f", {poor} of them because of the quality of the face" if poor else ""
    note(f"{new} new, {known} known, {skipped} not used{because}")
    return skipped


def _pairs(
    subject: str | None,
    images: list[Path],
    folder: Path | None,
    album: tuple[Path | None, int],
    exclude: Sequence[str],
    search: SearchReport,
) -> Iterator[_Pair]:
    from faceprint.recognition.gallery import folder_pairs

    if sum(given is not None for given in (subject, folder, album[0])) > 1:
        raise UsageError("give SUBJECT IMG..., --from DIR or --from-album ALBUM, not two of them")
    if album[0] is not None:
        return _album_pairs(album[0], album[1])
    if folder is not None:
        return folder_pairs(folder, exclude=exclude, report=search)
    if subject is None or not images:
        raise UsageError("nothing to enroll; give SUBJECT IMG..., or --from DIR")
    return _named(printable(subject), images, exclude, search)


def _album_pairs(album: Path, most: int) -> Iterator[_Pair]:
    from faceprint.recognition.albums.named_faces import named_faces
    from faceprint.recognition.gallery import FaceAt

    pairs = [(name, FaceAt(file_of(path), box)) for name, path, box in named_faces(album, most)]
    if not pairs:
        raise UsageError(f"{album}: nobody has a name there; name people in the contact sheet")
    return iter(pairs)


def _album_embedder(album: Path | None) -> str:
    from faceprint.recognition.albums.named_faces import embedder_of

    return "" if album is None else embedder_of(album)


def _named(
    subject: str, images: list[Path], exclude: Sequence[str], search: SearchReport
) -> Iterator[tuple[str, Path]]:
    from faceprint.vision.sources import IMAGE_SUFFIXES, OTHER_SUFFIXES, expand_folders

    if Path(subject).suffix.lower() in IMAGE_SUFFIXES | OTHER_SUFFIXES:
        raise UsageError(
            f"{subject} is the name of a photograph; whose is it? GALLERY SUBJECT IMG..."
        )
    # Before the gallery is created: a typing error should not leave one behind.
    if all(is_gone(image) for image in images):
        raise SourceNotFoundError(f"{images[0]}: no such file or folder")
    for photograph in expand_folders(images, exclude=exclude, report=search):
        yield subject, Path(photograph)


def _policy(location: str, keep_crops: bool | None, require_consent: bool) -> Policy | None:
    """The policy of a new gallery; None for an existing one, which keeps its own."""
    from faceprint.recognition.gallery import Policy

    if gallery_exists(location):
        if require_consent:
            raise UsageError(
                "--require-consent is for new galleries; use faceprint gallery policy for this one"
            )
        return None
    return Policy(require_consent=require_consent, keep_crops=bool(keep_crops))


def _line(outcome: Outcome) -> dict[str, Any]:
    from faceprint.recognition.gallery import Enrolled

    line: dict[str, Any] = {"subject": outcome.subject, "template": None, "source": outcome.source}
    if isinstance(outcome, Enrolled):
        line |= {"template": outcome.template, "new": outcome.new}
        return line | ({"face_count": outcome.face_count} if outcome.new else {})
    return line | {"reason": outcome.reason}
