"""Packs: a detector and an embedder that were measured together."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from faceprint._suggest import unknown_name
from faceprint.errors import UnknownModelError

__all__ = ["Pack", "all_packs", "get_pack"]


@dataclass(frozen=True, slots=True)
class Pack:
    """The card ids of a detector and an embedder."""

    name: str
    detector: str
    embedder: str
    description: str


def all_packs() -> tuple[Pack, ...]:
    """Return all packs, the default first."""
    table = tomllib.loads(Path(__file__).with_name("packs.toml").read_text("utf-8"))
    return tuple(
        Pack(name, str(row["detector"]), str(row["embedder"]), str(row["description"]))
        for name, row in table.items()
    )


def get_pack(name: str) -> Pack:
    """Return the pack of that name.

    Raises:
        UnknownModelError: no such pack; suggests similar names.
    """
    packs = {pack.name: pack for pack in all_packs()}
    if name not in packs:
        raise UnknownModelError(unknown_name("pack", name, packs))
    return packs[name]
