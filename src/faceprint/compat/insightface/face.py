"""A face with insightface's fields, as attributes and as items."""

from __future__ import annotations

from typing import Any

import numpy as np

from faceprint.types import Array

__all__ = ["Face"]

_UNCOVERED = {
    "age": "age and gender are not estimated here",
    "gender": "age and gender are not estimated here",
    "sex": "age and gender are not estimated here",
    "pose": "the pose of the head is not estimated here",
    "landmark_2d_106": "there are five landmarks here, in face.kps",
    "landmark_3d_68": "there are five landmarks here, in face.kps",
    "liveness": "liveness is not judged here",
}
_ABSENT = ("bbox", "kps", "det_score", "embedding")


class Face(dict[str, Any]):
    """One face; `face.bbox` and `face["bbox"]` are the same, and other fields may be added.

    Fields:
        bbox: (4,) float32 x1 y1 x2 y2 in pixels.
        kps: (5, 2) float32 landmarks in pixels.
        det_score: the detector's confidence, 0..1.
        embedding: (512,) float32, the network's output; None without a recognizer.

    Raises:
        AttributeError, KeyError: a field that is not covered; the message says why.
    """

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name in _ABSENT:
            return None
        raise AttributeError(_UNCOVERED.get(name, f"a face has no {name!r}"))

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __missing__(self, name: str) -> Any:
        raise KeyError(_UNCOVERED.get(name, name))

    @property
    def embedding_norm(self) -> float | None:
        """The length of the embedding."""
        embedding: Array | None = self.embedding
        return None if embedding is None else float(np.linalg.norm(embedding))

    @property
    def normed_embedding(self) -> Array | None:
        """The embedding with unit length."""
        embedding: Array | None = self.embedding
        if embedding is None:
            return None
        return np.asarray(embedding / np.linalg.norm(embedding), np.float32)
