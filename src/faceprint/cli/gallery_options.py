"""What the gallery commands share: options, opening, dates."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint import settings
from faceprint.cli.output import note
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.recognition.gallery.gallery import Gallery

__all__ = ["KeyFile", "Location", "announced", "gallery_exists", "moment", "open_gallery"]

Location = Annotated[
    str, typer.Argument(metavar="GALLERY", help="A file, or postgresql://...?schema=NAME.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="FILE", help="Key of an encrypted gallery. [FACEPRINT_KEY_FILE]"
    ),
]


def open_gallery(location: str, key_file: Path | None) -> Gallery:
    """Open an existing gallery, without models."""
    from faceprint.recognition.gallery.crypto import read_key_file
    from faceprint.recognition.gallery.gallery import Gallery

    key = None if key_file is None else read_key_file(key_file)
    return announced(Gallery.open(location, key=key))


def announced(gallery: Gallery) -> Gallery:
    """Print the notices of the opening; give the gallery."""
    for notice in gallery.notices:
        note(notice)
    return gallery


def gallery_exists(location: str) -> bool:
    """Whether the file exists; a server is only asked when it is opened."""
    from faceprint.recognition.gallery.factory import is_postgres

    return is_postgres(location) or settings.expanded(location).exists()


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
