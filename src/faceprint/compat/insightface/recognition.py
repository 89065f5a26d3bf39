"""A pack's recognizer: embeddings of faces that are aligned by insightface's rule."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from faceprint.compat.bgr import bgr_to_rgb
from faceprint.compat.insightface.face import Face
from faceprint.compat.insightface.utils.face_align import norm_crop
from faceprint.errors import NotFiniteError
from faceprint.types import Array, Image
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["Recognition"]

_SIDE = 112


class Recognition:
    """`FaceAnalysis.models["recognition"]`."""

    taskname = "recognition"
    input_size = (_SIDE, _SIDE)

    def __init__(self, analyzer: FaceAnalyzer) -> None:
        self._analyzer = analyzer
        _ = analyzer.embedder  # opened now, so that errors come up in `prepare`

    def get(self, img: Image, face: Face) -> Array:
        """Set `face.embedding` from a BGR image and `face.kps`, and return it."""
        (face.embedding,) = self.embed(bgr_to_rgb(img), [face.kps])
        return np.asarray(face.embedding)

    def get_feat(self, imgs: Image | Sequence[Image]) -> Array:
        """(n, 512) outputs of the network for one or several aligned BGR crops."""
        crops = [bgr_to_rgb(crop) for crop in ([imgs] if isinstance(imgs, np.ndarray) else imgs)]
        return self._raw([cv2.resize(crop, self.input_size) for crop in crops])

    def compute_sim(self, feat1: ArrayLike, feat2: ArrayLike) -> float:
        """Cosine similarity of two embeddings."""
        a, b = (np.asarray(each, np.float64).ravel() for each in (feat1, feat2))
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    def embed(self, image: Image, landmarks: Sequence[ArrayLike]) -> Array:
        """(n, 512) outputs of the network for the faces of an RGB image."""
        return self._raw([norm_crop(image, points, _SIDE) for points in landmarks])

    def _raw(self, crops: Sequence[Image]) -> Array:
        raw = self._analyzer.embedder.raw(crops)
        if not np.isfinite(raw).all():
            raise NotFiniteError(
                f"{self._analyzer.embedder_card.id} gave NaN or infinity for a face"
            )
        return raw
