"""The calls of the PyPI library deepface that compare, find and embed faces, on faceprint's models.

>>> from faceprint.compat.deepface import DeepFace
>>> DeepFace.verify("a.jpg", "b.jpg", model_name="Dlib", detector_backend="mtcnn")  # doctest: +SKIP

Faces are cropped as deepface 0.0.103 does it, so embeddings that were stored with the same network
can be compared with new ones. docs/migrating.md lists the differences.
"""

from __future__ import annotations

from faceprint.compat.deepface import api
from faceprint.compat.deepface.api import analyze, extract_faces, find, represent, verify
from faceprint.compat.deepface.install import install

DeepFace = api
"""The module that programs import: `from deepface import DeepFace`."""

__all__ = [
    "DeepFace",
    "analyze",
    "extract_faces",
    "find",
    "install",
    "represent",
    "verify",
]
