"""Cards for the derived embedders of the folder of test models: files that no publisher serves.

`shared_cards(models, folder)` writes them; `register(models, folder)` adds them to the catalog of
FACEPRINT_HOME. Their files come from the mirror (FACEPRINT_MIRROR set to the folder of models).
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from faceprint.zoo.card import (
    Alignment,
    InputContract,
    License,
    ModelCard,
    ModelFile,
    QualityMeasure,
)
from faceprint.zoo.card_io import TEMPLATES
from faceprint.zoo.card_text import card_toml
from faceprint.zoo.catalog import add_card, get_card

__all__ = ["DERIVED", "register", "shared_cards"]

DERIVED = {
    "w600k-mbf-dequant": "w600k_mbf_dequant.onnx",
    "w600k-mbf-int8-dynamic": "w600k_mbf_int8_dynamic.onnx",
    "edgeface-xs-dequant": "edgeface_xs_dequant.onnx",
}


def shared_cards(models: Path, folder: Path) -> dict[str, Path]:
    """Write a card for each derived embedder; id -> path of the card."""
    rows = tomllib.loads((models / "MODELS.toml").read_text("utf-8"))["file"]
    facts = {row["name"]: row for row in rows}
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for card_id, name in DERIVED.items():
        path = folder / f"{card_id}.toml"
        path.write_text(card_toml(_card(card_id, facts[name])), "utf-8")
        paths[card_id] = path
    return paths


def register(models: Path, folder: Path) -> tuple[ModelCard, ...]:
    """Write the cards and add them to the catalog."""
    return tuple(add_card(path, replace=True) for path in shared_cards(models, folder).values())


def _card(card_id: str, row: dict[str, object]) -> ModelCard:
    mean, std = float(str(row["mean"])), float(str(row["std"]))
    size, points = TEMPLATES["arcface-112"]
    return ModelCard(
        id=card_id,
        task="embed",
        decoder="vector",
        title=str(row["name"]),
        description="derived from the publisher's file; for tests and measurements",
        dim=int(str(row["dim"])),
        files=(ModelFile(str(row["name"]), str(row["sha256"]), int(str(row["size"]))),),
        license=License(str(row["weights_license"]), "unclear"),
        input=InputContract(112, 112, "RGB", (mean,) * 3, (std,) * 3),
        alignment=Alignment("arcface-112", size, points),
        quality=_quality(card_id),
    )


def _quality(card_id: str) -> QualityMeasure | None:
    """The publisher's card's, for a copy in full precision: it was measured with that copy."""
    publisher = card_id.removesuffix("-dequant")
    return None if publisher == card_id else get_card(publisher).quality
