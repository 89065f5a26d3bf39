"""The calls of the PyPI library insightface 2.1 that find and embed faces, on faceprint's models.

>>> from faceprint.compat.insightface.app import FaceAnalysis
>>> app = FaceAnalysis(name="buffalo_l", accept_license=True)  # doctest: +SKIP
>>> app.prepare(ctx_id=0, det_size=(640, 640))  # doctest: +SKIP
>>> app.get(cv2.imread("a.jpg"))[0].normed_embedding  # doctest: +SKIP

Faces are found and aligned as insightface does it, so embeddings that were stored with the same
models can be compared with new ones. docs/migrating.md lists the differences.
"""

from __future__ import annotations

from faceprint.compat.insightface import app, model_zoo, utils
from faceprint.compat.insightface.app import FaceAnalysis
from faceprint.compat.insightface.install import install

__all__ = ["FaceAnalysis", "app", "install", "model_zoo", "utils"]
