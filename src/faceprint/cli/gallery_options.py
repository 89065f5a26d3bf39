"""What the gallery commands share: options, opening, dates, consents."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint import settings
from faceprint.cli.options import ModelOptions
from faceprint.cli.output import note
from faceprint.errors import GalleryError, UnknownModelError, UsageError

if TYPE_CHECKING:
    from faceprint.recognition.gallery import Consent, Subject
    from faceprint.recognition.gallery.gallery import Gallery
    from faceprint.types import OperatingPoint
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "ConsentBasis",
    "ConsentExpires",
    "ConsentGiven",
    "ConsentReference",
    "KeyFile",
    "Location",
    "announced",
    "consent_of",
    "gallery_exists",
    "load_for",
    "metadata_of",
    "moment",
    "open_gallery",
    "require_gallery",
    "subject_document",
    "threshold_words",
]

Location = Annotated[
    str, typer.Argument(metavar="GALLERY", help="A file, or postgresql://...?schema=NAME.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="FILE", help="Key of an encrypted gallery. [FACEPRINT_KEY_FILE]"
    ),
]

ConsentBasis = Annotated[
    str | None,
    typer.Option(
        "--consent", metavar="BASIS", help='Basis of the consent, such as "written consent".'
    ),
]
ConsentGiven = Annotated[
    str | None, typer.Option("--consent-given", metavar="DATE", help="[today]")
]
ConsentExpires = Annotated[
    str | None, typer.Option("--consent-expires", metavar="DATE", help="[never]")
]
ConsentReference = Annotated[
    str,
    typer.Option("--consent-reference", metavar="TEXT", help="Reference to the signed consent."),
]


def open_gallery(location: str, key_file: Path | None) -> Gallery:
    """Open an existing gallery, without models."""
    from faceprint.recognition.gallery.crypto import read_key_file
    from faceprint.recognition.gallery.gallery import Gallery

    key = None if key_file is None else read_key_file(key_file)
    return announced(Gallery.open(location, key=key))


def load_for(location: str, models: ModelOptions, usual: str = "") -> FaceAnalyzer:
    """The models that the user named; else those of the gallery that is there.

    Args:
        usual: the embedder for a new gallery, if the user named none.

    Raises:
        UnknownModelError: the gallery's embedder is not among the models here.
    """
    from faceprint.recognition.gallery.factory import embedder_of

    made_with = usual
    if gallery_exists(location):
        # Where it can't be opened, its opening says why.
        with contextlib.suppress(GalleryError):
            made_with = embedder_of(location)
    embedder, mirrored, _ = made_with.partition("+mirror")
    try:
        chosen = models.preferring(embedder)
        return chosen.load(mirror=bool(mirrored) and chosen is not models)
    except UnknownModelError as error:
        if embedder and (models.pack, models.embedder) == (None, None):
            raise UnknownModelError(
                f"{location} belongs to the embedder {embedder!r}, which is no model here: add its "
                "card (faceprint models add), or choose another with --embedder and move the "
                "gallery to it (faceprint gallery migrate)"
            ) from error
        raise


def announced(gallery: Gallery) -> Gallery:
    """Print the notices of the opening; give the gallery."""
    for notice in gallery.notices:
        note(notice)
    return gallery


def gallery_exists(location: str) -> bool:
    """Whether the file exists; a server is only asked when it is opened."""
    from faceprint.recognition.gallery.factory import is_postgres

    return is_postgres(location) or settings.expanded(location).exists()


def require_gallery(location: str) -> None:
    """Refuse to search where nothing was enrolled.

    Raises:
        UsageError: no gallery is there.
    """
    if not gallery_exists(location):
        raise UsageError(
            f"there is no gallery at {location}; create one with: faceprint enroll {location} "
            "NAME PHOTO"
        )


def moment(text: str) -> datetime:
    """Parse `2025-01-31`, an ISO date and time, or `90d` (90 days ago); UTC by default.

    Raises:
        UsageError: none of these.
    """
    days = re.fullmatch(r"(\d{1,6})d", text.strip())
    if days:
        try:
            return datetime.now(UTC) - timedelta(days=int(days[1]))
        except OverflowError as error:
            raise UsageError(f"{text!r} is before the year 1") from error
    try:
        found = datetime.fromisoformat(text)
        # In UTC: the first and last day of the calendar do not exist in every time zone.
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is neither a date such as 2025-01-31 nor 90d") from error


def metadata_of(text: str) -> dict[str, Any]:
    """Parse `--metadata JSON`.

    Raises:
        UsageError: not a JSON object.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--metadata is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError('--metadata is not a JSON object, such as {"team": "blue"}')
    return values


def consent_of(
    basis: str | None, given: str | None, expires: str | None, reference: str
) -> Consent | None:
    """The consent of the `--consent` options; None without them.

    Raises:
        UsageError: a date that is none, or other options without `--consent`.
    """
    from faceprint.recognition.gallery import Consent
    from faceprint.recognition.gallery.records import now

    if basis is None:
        if given or expires or reference:
            raise UsageError("the consent options need --consent BASIS, such as 'written consent'")
        return None
    try:
        return Consent(basis, given or now(), expires, reference)
    except OverflowError as error:  # the first or last day of the calendar, in another time zone
        raise UsageError(f"a date of the consent is out of range: {given}, {expires}") from error


def subject_document(subject: Subject) -> dict[str, Any]:
    """A subject as JSON."""
    return {
        "subject": subject.name,
        "templates": subject.templates,
        "created": subject.created,
        "metadata": dict(subject.metadata),
        "consent": None if subject.consent is None else asdict(subject.consent),
    }


def threshold_words(point: OperatingPoint) -> str:
    """The threshold of a search and the evidence for it."""
    words = f"threshold {point.threshold:.3f}: {point.name}"
    if point.provisional:
        return f"{words} ({point.source}: provisional)"
    if point.fmr is not None:
        return f"{words} (FMR {point.fmr:.2g}; {point.source})"
    if point.fmr_high is not None:
        return f"{words} (measured: FMR at most {point.fmr_high:.2g}; {point.source})"
    return words
