"""Ask for the acceptance of model licenses, and record it."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from faceprint import settings
from faceprint._files import atomic_write
from faceprint._text import json_text, shown
from faceprint.errors import LicenseNotAcceptedError
from faceprint.zoo.card import ModelCard
from faceprint.zoo.locks import exclusive

__all__ = ["Acceptance", "accepted", "describe", "is_accepted", "require"]

_LOG = logging.getLogger("faceprint.zoo")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An accepted license.

    Attributes:
        card: the card's id.
        license: the license of the weights, as named in the card at that time.
        files: sha256 by name of the files it was accepted for; "" for an unpinned file.
        date: UTC, ISO 8601.
        how: `flag`, `environment` or `prompt`.
    """

    card: str
    license: str
    files: dict[str, str]
    date: str
    how: str


def accepted() -> tuple[Acceptance, ...]:
    """Return the licenses accepted on this machine, oldest first."""
    try:
        document = json.loads(_path().read_text("utf-8"))
        return tuple(Acceptance(**row) for row in document["accepted"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _LOG.warning("%s cannot be read (%s): no license counts as accepted", _path(), error)
        return ()


def is_accepted(card: ModelCard) -> bool:
    """Whether the card's license was accepted for these files, or needs no acceptance.

    Weights for commercial use need none, nor do weights inside the package, which are installed
    already.
    """
    if card.license.commercial_use == "yes" or all(file.bundled for file in card.files):
        return True
    current = (card.id, card.license.weights, _files(card))
    return any((item.card, item.license, item.files) == current for item in accepted())


def describe(card: ModelCard) -> str:
    """Describe the license in a few lines."""
    use = {"yes": "yes", "no": "NO", "unclear": "not clear"}[card.license.commercial_use]
    lines = [
        f"{card.id}: {shown(card.title)}",
        f"  license of the weights: {shown(card.license.weights)}",
        f"  commercial use: {use}",
    ]
    if card.license.note:
        lines.append(f"  {shown(card.license.note)}")
    if card.license.url:
        lines.append(f"  {shown(card.license.url)}")
    return "\n".join(lines)


def require(card: ModelCard, *, accept: bool = False) -> None:
    """Make sure that the card's license is accepted; ask on a terminal.

    Args:
        card: the model.
        accept: accept it; FACEPRINT_ACCEPT_LICENSE does the same.

    Raises:
        LicenseNotAcceptedError: a non-commercial or unclear license was not accepted.
    """
    if is_accepted(card):
        return
    how = "flag" if accept else "environment" if settings.accept_license() else ""
    if not how and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write(f"{describe(card)}\nAccept this license? [y/N] ")
        sys.stderr.flush()
        how = "prompt" if sys.stdin.readline().strip().lower() in {"y", "yes"} else ""
    if not how:
        raise LicenseNotAcceptedError(
            f"{describe(card)}\nThis license must be accepted once: "
            f"`faceprint models pull {card.id} --accept-license`, or set FACEPRINT_ACCEPT_LICENSE=1"
        )
    if how != "prompt":
        # Once per card, and visible by default: nobody should accept a license unseen.
        _LOG.warning("license accepted by %s:\n%s", how, describe(card))
    _record(card, how)


def _record(card: ModelCard, how: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Acceptance(card.id, card.license.weights, _files(card), now, how)
    path = _path()
    try:
        with exclusive(path.with_name(".licenses.lock"), what="the license record"):
            kept = [item for item in accepted() if item.card != card.id]
            rows = [asdict(item) for item in [*kept, entry]]
            atomic_write(path, json_text({"format": 1, "accepted": rows}, indent=2) + "\n")
    except OSError as error:
        # With a read-only cache the user accepts by flag or environment each time.
        _LOG.warning("the acceptance could not be recorded in %s (%s)", path, error.strerror)


def _files(card: ModelCard) -> dict[str, str]:
    return {file.name: file.sha256 or "" for file in card.files}


def _path() -> Path:
    return settings.home() / "licenses.json"
