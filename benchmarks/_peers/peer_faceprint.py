"""faceprint: `analyze` for one photograph, `analyze_many` for many."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from shared_cards import shared_cards
from side import Side, cores, versions

from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.load import LoadOptions
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_io import read_card
from faceprint.zoo.catalog import get_card


def open_side(options: dict[str, Any]) -> Side:
    """Options: ids of the cards `detector` and `embedder`, the detector's `settings`, `embed`."""
    detector = get_card(options["detector"])
    detector = replace(detector, options={**detector.options, **options.get("settings", {})})
    fp = FaceAnalyzer("peers", detector, _embedder(options["embedder"]), LoadOptions())
    embed = options.get("embed", True)
    _ = fp.open() if embed else fp.detector
    call = "" if embed else ", embed=False, quality=False"
    # A detector's peers say where faces are, and nothing of their quality.
    asked = {} if embed else {"embed": False, "quality": False}
    return Side(
        one=lambda path: fp.analyze(path, **asked),
        ways={
            "analyze_many": lambda paths: [photo.faces for photo in fp.analyze_many(paths, **asked)]
        },
        plain=lambda faces: [
            {
                "box": face.box.tolist(),
                "points": face.landmarks.tolist(),
                "vector": face.embedding.vector.tolist() if embed else None,
            }
            for face in faces
        ],
        facts={
            "api": f"load(...).analyze(path{call}), .analyze_many(paths{call})",
            "detector": detector.id,
            "embedder": options["embedder"] if embed else None,
            "settings": dict(detector.options),
            "input": options["input"],
            "threads": cores(),
            "versions": versions("onnxruntime", "opencv-python-headless", "numpy", "pillow"),
        },
    )


def _embedder(card_id: str) -> ModelCard:
    folder = Path(os.environ["FACEPRINT_HOME"]) / "own"
    derived = shared_cards(Path(os.environ["FACEPRINT_MIRROR"]), folder)
    return read_card(derived[card_id]) if card_id in derived else get_card(card_id)
