"""A small world for tests of galleries: photographs of few bytes, and a model that knows them.

A photograph is `name/variant` as bytes. Photographs of one name get vectors that are close, those
of two names get independent ones. `noface...` shows nobody, `two:...` a second, smaller face as
well, `broken...` can't be decoded. Crops carry the photograph, so that embedding a kept crop must
give the vector that the photograph itself gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faceprint.errors import DecodeError
from faceprint.types import AnalyzedImage, Array, Embedding, Face, Image, OperatingPoint
from faceprint.zoo.card import (
    Alignment,
    CardOperatingPoint,
    InputContract,
    License,
    ModelCard,
    ModelFile,
)
from faceprint.zoo.card_io import TEMPLATES

DIM = 32
SIDE = 16
POINTS = tuple(
    OperatingPoint(threshold, fmr, fmr / 2, fmr * 2, 0.1, source="a test")
    for fmr, threshold in ((1e-1, 0.25), (1e-2, 0.4), (1e-3, 0.5), (1e-4, 0.58))
)


def card(name: str = "model-a", dim: int = DIM, template: str = "arcface-112") -> ModelCard:
    """An embedder's card; its hash goes with all three."""
    size, points = TEMPLATES[template]
    return ModelCard(
        id=name,
        task="embed",
        decoder="vector",
        title=name,
        dim=dim,
        files=(ModelFile(f"{name}.onnx", hashlib.sha256(name.encode()).hexdigest(), 10),),
        license=License("MIT", "yes"),
        input=InputContract(112, 112, "RGB", (0.0,) * 3, (1.0,) * 3),
        alignment=Alignment(template, size, points),
        operating_points=tuple(CardOperatingPoint("detector", point) for point in POINTS),
    )


class FakeAnalyzer:
    """An `Analyzer` over photographs of this module."""

    mirror = False
    name = "fake"

    def __init__(self, embedder: ModelCard | None = None) -> None:
        self.embedder_card = embedder or card()
        self.detector_card = replace(self.embedder_card, id="detector")
        self.embedded = 0

    def analyze(self, source: Any, *, keep_crops: bool = False) -> list[Face]:
        """The faces of one photograph."""
        data = Path(source).read_bytes() if isinstance(source, str | Path) else bytes(source)
        if data.startswith(b"broken"):
            raise DecodeError(f"{source!r}: damaged")
        if data.startswith(b"noface"):
            return []
        faces = [self._face(data, 40.0, keep_crops)]
        if data.startswith(b"two:"):
            faces.append(self._face(b"somebody else/1", 20.0, keep_crops))
        return faces

    def analyze_many(
        self, sources: Iterable[Any], *, batch_size: int = 32, keep_crops: bool = False
    ) -> Iterator[AnalyzedImage]:
        """A stream of photographs."""
        for source in sources:
            try:
                yield AnalyzedImage(str(source), self.analyze(source, keep_crops=keep_crops))
            except DecodeError as error:
                yield AnalyzedImage(str(source), [], error=error)

    def embed_crops(self, crops: Sequence[Image]) -> list[Embedding]:
        """Embeddings of crops that `_crop` made."""
        self.embedded += len(crops)
        return [self.embedding(crop.tobytes().rstrip(b"\0")) for crop in crops]

    def embedding(self, photograph: bytes) -> Embedding:
        """What this model makes of a photograph."""
        return Embedding(vector(photograph, self.embedder_card), self.embedder_card.id, 1.0)

    def _face(self, data: bytes, side: float, keep: bool) -> Face:
        return Face(
            box=np.asarray([0, 0, side, side], np.float32),
            score=0.9,
            landmarks=None,
            embedding=self.embedding(data),
            crop=_crop(data) if keep else None,
        )


def vector(photograph: bytes, model: ModelCard) -> Array:
    """(dim,) unit vector: mostly of the name, partly of the variant."""
    name = photograph.removeprefix(b"two:").split(b"/")[0]
    parts = [_direction(name, model), 0.3 * _direction(photograph, model)]
    whole = np.sum(parts, axis=0)
    return (whole / np.linalg.norm(whole)).astype(np.float32)


def _direction(text: bytes, model: ModelCard) -> np.ndarray[Any, np.dtype[np.float64]]:
    seed = hashlib.sha256(model.id.encode() + b"|" + text).digest()
    drawn = np.random.default_rng(list(seed)).standard_normal(model.dim)
    return np.asarray(drawn / np.linalg.norm(drawn))


def _crop(data: bytes) -> Image:
    pixels = np.zeros(SIDE * SIDE * 3, np.uint8)
    pixels[: len(data)] = np.frombuffer(data, np.uint8)
    return pixels.reshape(SIDE, SIDE, 3)


def photograph(folder: Path, text: str) -> Path:
    """Write a photograph `name/variant` and return its path."""
    path = folder / (text.replace("/", "-").replace(":", "-") + ".jpg")
    path.write_bytes(text.encode())
    return path
