"""Find model cards: those in the package, and the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from faceprint._files import atomic_write
from faceprint._suggest import unknown_name
from faceprint.errors import CardError, UnknownModelError
from faceprint.zoo import packs
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_files import PACKAGED, card_folders, card_ids, replacing_cards, user_cards
from faceprint.zoo.card_io import read_card

__all__ = ["add_card", "all_cards", "card_ids", "get_card", "remove_card", "valid_cards"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def get_card(card_id: str) -> ModelCard:
    """Return the card of that id.

    Only `add_card(path, replace=True)` replaces a packaged card; a file of the same id in the
    folder of user cards does not.

    Raises:
        UnknownModelError: no such card; suggests similar ids.
        CardError: the user's card of that id is not valid.
    """
    path = _find(card_id)
    if path is None:
        for pack in packs.all_packs():
            if pack.name == card_id:
                raise UnknownModelError(
                    f"no model named {card_id!r}; {card_id} is a pack: detector {pack.detector}, "
                    f"embedder {pack.embedder}"
                )
        shows = "`models list` shows all of them"
        raise UnknownModelError(unknown_name("model", card_id, card_ids(), shows))
    card = _read(path)
    if card.id != card_id:
        raise CardError(f"{path}: id is {card.id!r}, but the file's name says {card_id!r}")
    return card


def all_cards() -> tuple[ModelCard, ...]:
    """Return all cards, sorted by id.

    Raises:
        CardError: a user's card is not valid.
    """
    return tuple(get_card(card_id) for card_id in card_ids())


def add_card(path: Path, replace: bool = False) -> ModelCard:
    """Validate a user's card and copy it to FACEPRINT_HOME.

    Args:
        path: the TOML file.
        replace: overwrite the user's card of the same id, or override a packaged one.

    Raises:
        CardError: not valid; the id is taken and `replace` is False; or another card has another
            file of the same name.
    """
    card = read_card(path)
    if any(file.bundled for file in card.files):
        raise CardError(f"{path}: files.bundled is only for cards inside the package")
    packaged = (PACKAGED / f"{card.id}.toml").exists()
    target = (replacing_cards() if packaged else user_cards()) / f"{card.id}.toml"
    if (packaged or target.exists()) and not replace:
        kind = "packaged" if packaged else "user's own"
        raise CardError(
            f"{path}: id {card.id!r} is that of a {kind} card; choose another id, or replace it"
        )
    _refuse_name_clash(card, path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, path.read_bytes())
    except OSError as error:
        raise CardError(f"{target}: cannot be written ({error.strerror})") from error
    return get_card(card.id)


def remove_card(card_id: str) -> bool:
    """Remove a user's card, and restore the packaged card that it replaced.

    Returns:
        Whether there was one.
    """
    if not _ID.fullmatch(card_id):
        return False
    for folder in (replacing_cards(), user_cards()):
        path = folder / f"{card_id}.toml"
        if path.is_file():
            path.unlink()
            return True
    return False


def _refuse_name_clash(card: ModelCard, path: Path) -> None:
    hashes = {file.name: file.sha256 for file in card.files}
    for other in valid_cards():
        for file in other.files:
            if other.id != card.id and hashes.get(file.name, file.sha256) != file.sha256:
                raise CardError(
                    f"{path}: files.name {file.name!r} is that of a different file of the card "
                    f"{other.id!r}; rename it"
                )


def valid_cards() -> Iterator[ModelCard]:
    """Yield all cards, without user cards that are not valid."""
    for card_id in card_ids():
        try:
            yield get_card(card_id)
        except CardError:
            continue


def _find(card_id: str) -> Path | None:
    if not _ID.fullmatch(card_id):
        return None
    paths = (folder / f"{card_id}.toml" for folder in card_folders())
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> ModelCard:
    card = read_card(path, origin="packaged" if path.parent == PACKAGED else str(path))
    if card.origin != "packaged" and any(file.bundled for file in card.files):
        raise CardError(f"{path}: files.bundled is only for cards inside the package")
    return card
