"""Where the files of cards lie: those in the package, and the user's own."""

from __future__ import annotations

from pathlib import Path

from faceprint import settings

__all__ = ["PACKAGED", "card_folders", "card_ids", "replacing_cards", "user_cards"]

PACKAGED = Path(__file__).with_name("cards")


def user_cards() -> Path:
    """The folder of the user's own cards."""
    return settings.home() / "cards"


def replacing_cards() -> Path:
    """The folder of the user's cards that replace packaged ones."""
    return user_cards() / "replacing"


def card_folders() -> tuple[Path, Path, Path]:
    """Return the folders in the order in which an id is looked up."""
    return replacing_cards(), PACKAGED, user_cards()


def card_ids() -> tuple[str, ...]:
    """Return all ids, sorted, without parsing a card."""
    return tuple(sorted({path.stem for folder in card_folders() for path in folder.glob("*.toml")}))
