"""A face, its quality and its embedding: frozen values, with their form in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from faceprint.arrays import Array, Image

__all__ = ["AnalyzedImage", "Embedding", "Face", "Quality"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A face as a point on the unit sphere.

    Attributes:
        vector: (d,) float32 of unit length.
        model: the embedder's card id.
        norm: the length before normalization; poor pictures have low norms.
    """

    vector: Array
    model: str
    norm: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of a picture of a face.

    Attributes:
        size: the shorter side of the box in pixels.
        sharpness: variance of the Laplacian of the aligned crop's luminance (Pech-Pacheco 2000).
        yaw: how far the head is turned, -1..1: horizontal offset of the nose from the middle of
            the eyes, in eye distances; 0 is frontal. None without landmarks.
        value: 0..1. For an embedded face whose embedder's card has a quality measure, 0.5 is the
            lowest value at which the model's error rates hold. Otherwise size, sharpness and yaw
            in one number, for ranking the faces of one person. 0 where the landmarks are not
            plausible.
        measure: whether `value` comes from the `crop` or the `embedding`.
        landmarks_plausible: False where the five points can't be those of a face, or where the
            photograph's edge cuts them off; the crop and the embedding then show something else.
    """

    size: float
    sharpness: float
    yaw: float | None
    value: float
    measure: Literal["crop", "embedding"] = "crop"
    landmarks_plausible: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The `quality` of a face in JSON."""
        return {
            "value": round(self.value, 3),
            "size": round(self.size, 1),
            "sharpness": round(self.sharpness, 1),
            "yaw": None if self.yaw is None else round(self.yaw, 3),
            "measure": self.measure,
            "landmarks_plausible": self.landmarks_plausible,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face.

    Attributes:
        box: (4,) float32 x1 y1 x2 y2 in pixels of the upright image.
        score: the detector's confidence, 0..1.
        landmarks: (5, 2) float32 pixels; None if the detector gives none, and the face was aligned
            by its box.
        quality, embedding: None if they were not asked for.
        crop: the aligned crop that the embedder saw, kept only on request.
    """

    box: Array
    score: float
    landmarks: Array | None
    quality: Quality | None = None
    embedding: Embedding | None = None
    crop: Image | None = None

    @property
    def area(self) -> float:
        """Box area in square pixels."""
        width, height = np.maximum(self.box[2:] - self.box[:2], 0)
        return float(width * height)

    def to_dict(self) -> dict[str, Any]:
        """`box`, `score`, `landmarks` and `quality` as JSON values, pixels to 0.01."""
        landmarks = None
        if self.landmarks is not None:
            landmarks = [[round(float(v), 2) for v in point] for point in self.landmarks]
        return {
            "box": [round(float(v), 2) for v in self.box],
            "score": round(self.score, 4),
            "landmarks": landmarks,
            "quality": None if self.quality is None else self.quality.to_dict(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class AnalyzedImage:
    """The result for one photograph of a stream: its faces, or the error why it can't be used."""

    source: str
    faces: list[Face]
    width: int = 0
    height: int = 0
    error: Exception | None = None

    def to_dict(self) -> dict[str, Any]:
        """A line of `detect --json`."""
        line: dict[str, Any] = {
            "source": self.source,
            "width": self.width,
            "height": self.height,
            "faces": [face.to_dict() for face in self.faces],
        }
        return line if self.error is None else line | {"error": str(self.error)}
