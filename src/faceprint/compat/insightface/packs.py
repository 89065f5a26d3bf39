"""insightface's packs by name, as cards of the zoo."""

from __future__ import annotations

import os

from faceprint.errors import UsageError
from faceprint.zoo.card import ModelCard
from faceprint.zoo.catalog import get_card

__all__ = ["cards_of"]

_PACKS = {
    "buffalo_l": ("scrfd-10g", "w600k-r50"),
    "buffalo_m": ("scrfd-2.5g", "w600k-r50"),
    "buffalo_s": ("scrfd-500m", "w600k-mbf"),
    "buffalo_sc": ("scrfd-500m", "w600k-mbf"),
}


def cards_of(name: str | os.PathLike[str]) -> tuple[ModelCard, ModelCard]:
    """The detector and the embedder of a pack.

    Raises:
        UsageError: a pack or folder that is not covered.
    """
    pack = os.fspath(name)
    if pack not in _PACKS:
        known = ", ".join(_PACKS)
        reason = f"name is {pack!r}, not one of {known}"
        if pack == "antelopev2":
            reason = f"antelopev2 is not covered: glintr100 has no card; take one of {known}"
        elif os.path.sep in pack:
            reason += (
                "; folders of models are not read: `faceprint models add` adds a card, and "
                "faceprint.load(detector=..., embedder=...) takes it"
            )
        raise UsageError(reason)
    detector, embedder = _PACKS[pack]
    return get_card(detector), get_card(embedder)
