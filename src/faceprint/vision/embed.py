"""Embed aligned crops: vectors of unit length, by any embedder's card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from faceprint.errors import CardError, NotFiniteError
from faceprint.runtime.session import Session
from faceprint.similarity import normalize
from faceprint.types import Array, Embedding, Image
from faceprint.vision.preprocess import to_blob
from faceprint.zoo.card import ModelCard

__all__ = ["IN_CACHE", "ON_ACCELERATOR", "VectorEmbedder"]

_BATCH = 16
"""Crops per call: on a CPU more of them take memory but no less time."""

IN_CACHE = 4
"""Crops per call for sessions of one thread: with 16 the activations of small networks exceed a
core's cache, which cost MobileFaceNets a fifth (benchmarks/blocks.py)."""

ON_ACCELERATOR = 64
"""Crops per call on an accelerator, which small calls would leave idle."""

_ZOOM = 1.1
"""Scale of the enlarged views of a face (docs/decisions/0002-alignment.md)."""

_VIEWS: Mapping[int, tuple[tuple[bool, float], ...]] = {
    1: ((False, 1.0),),
    2: ((False, 1.0), (True, _ZOOM)),
    4: ((False, 1.0), (True, 1.0), (False, _ZOOM), (True, _ZOOM)),
}
"""For each number of views: whether each is a mirror image, and its scale."""


class VectorEmbedder:
    """A network whose output is the embedding.

    Args:
        mirror: average each crop's embedding with that of its mirror image (the sum of the raw
            vectors, as in the ArcFace validation), for twice the work and a little more accuracy.
            Such embeddings have the model name `<id>+mirror` and can't be compared with others.
            Without effect if the card averages views of a face anyway.
        batch: crops per call of the network.
    """

    def __init__(
        self, session: Session, card: ModelCard, *, mirror: bool = False, batch: int = _BATCH
    ) -> None:
        self._session, self.card, self._batch = session, card, batch
        self.mirror = mirror or card.input.mirrored
        self.model = f"{card.id}+mirror" if mirror and not card.input.mirrored else card.id
        plain = card.input.crops == 1
        self._views = (
            _VIEWS[1] + ((True, 1.0),) if plain and self.mirror else _VIEWS[card.input.crops]
        )

    def embed(self, crops: Sequence[Image] | Image) -> list[Embedding]:
        """Embed (n, s, s, 3) uint8 RGB crops that were aligned to the card's template.

        Raises:
            CardError: the network's output is not (n, dim) with the card's dim.
            NotFiniteError: the network gave NaN or infinity.
        """
        found = self.embed_each(crops)
        sound = [embedding for embedding in found if embedding is not None]
        if len(sound) < len(found):
            raise NotFiniteError(f"{self.card.id} gave NaN or infinity for a face")
        return sound

    def embed_each(self, crops: Sequence[Image] | Image) -> list[Embedding | None]:
        """As `embed`, with None for each crop for which the network gave NaN or infinity.

        Raises:
            CardError: see `embed`.
        """
        raw = self._sum(crops, self._views)
        lengths = np.sqrt(np.einsum("nd,nd->n", raw, raw, dtype=np.float64))
        sound = lengths < np.finfo(np.float32).max  # False for NaN as well
        raw[~sound] = 0
        vectors, norms = normalize(raw)
        return [
            Embedding(vector, self.model, float(norm)) if usable else None
            for vector, norm, usable in zip(vectors, norms, sound, strict=True)
        ]

    def raw(self, crops: Sequence[Image] | Image) -> Array:
        """(n, s, s, 3) crops to (n, dim) raw outputs of the network, without other views."""
        return self._sum(crops, _VIEWS[1])

    def _sum(self, crops: Sequence[Image] | Image, views: Iterable[tuple[bool, float]]) -> Array:
        """The sum of the raw vectors of each crop's views."""
        raw = np.zeros((len(crops), self.card.dim or 0), np.float32)
        for start in range(0, len(crops), self._batch):
            part = crops[start : start + self._batch]
            blob = to_blob(part, self.card.input)
            for mirrored, scale in views:
                if scale == 1:
                    seen = self._mirror(blob) if mirrored else blob
                else:
                    seen = to_blob(_enlarged(part, scale, mirrored), self.card.input)
                raw[start : start + self._batch] += self._vectors(seen)
        return raw

    def _mirror(self, blob: Array) -> Array:
        # Flipped as one tall picture: four times as fast as a slice with a negative step.
        deep = (3,) if self.card.input.layout == "NHWC" else ()
        tall = blob.reshape(-1, blob.shape[2 if deep else 3], *deep)
        return np.asarray(cv2.flip(tall, 1), np.float32).reshape(blob.shape)

    def _vectors(self, blob: Array) -> Array:
        output = self._session.run(blob)[0]
        vectors = output.reshape(len(blob), -1)
        if vectors.shape[1] != self.card.dim:
            raise CardError(
                f"{self.card.id}: the graph gives {vectors.shape[1]} values per face, "
                f"the card says dim = {self.card.dim}"
            )
        return vectors


def _enlarged(crops: Sequence[Image] | Image, scale: float, mirrored: bool) -> list[Image]:
    """Each crop enlarged around its center, at the same size, and mirrored if asked for."""
    size = len(crops[0])
    shift = (size - 1) / 2 * (1 - scale)
    matrix = np.asarray(((scale, 0, shift), (0, scale, shift)), np.float64)
    # OpenCV warps four channels in half the time that it takes for three.
    deep = (cv2.cvtColor(np.asarray(crop), cv2.COLOR_RGB2RGBA) for crop in crops)
    warped = (cv2.warpAffine(crop, matrix, (size, size)) for crop in deep)
    if mirrored:
        warped = (cv2.flip(crop, 1) for crop in warped)
    return [np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGBA2RGB), np.uint8) for crop in warped]
