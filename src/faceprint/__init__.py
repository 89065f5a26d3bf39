"""Face recognition on ONNX models: find faces, compare two, search a gallery, sort an album.

>>> import faceprint
>>> faceprint.verify("a.jpg", "b.jpg").is_match  # doctest: +SKIP
True

Public names are loaded when they are first used (PEP 562): importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceprint.errors import (
        DecodeError,
        FaceprintError,
        ModelMismatchError,
        NoFaceError,
        SeveralFacesError,
        UnknownModelError,
    )
    from faceprint.recognition.cluster import cluster
    from faceprint.recognition.gallery.gallery import Gallery
    from faceprint.recognition.verify import verify
    from faceprint.similarity import compare
    from faceprint.types import (
        AnalyzedImage,
        Detections,
        Embedding,
        Face,
        Measurement,
        OperatingPoint,
        Verification,
    )
    from faceprint.vision.analyzer import FaceAnalyzer, FacePrint, load
    from faceprint.vision.images import decode

__version__ = "0.1.0"

_HOMES = {
    "AnalyzedImage": "faceprint.types",
    "DecodeError": "faceprint.errors",
    "Detections": "faceprint.types",
    "Embedding": "faceprint.types",
    "Face": "faceprint.types",
    "FaceAnalyzer": "faceprint.vision.analyzer",
    "FacePrint": "faceprint.vision.analyzer",
    "FaceprintError": "faceprint.errors",
    "Gallery": "faceprint.recognition.gallery.gallery",
    "ModelMismatchError": "faceprint.errors",
    "NoFaceError": "faceprint.errors",
    "Measurement": "faceprint.types",
    "OperatingPoint": "faceprint.types",
    "SeveralFacesError": "faceprint.errors",
    "UnknownModelError": "faceprint.errors",
    "Verification": "faceprint.types",
    "cluster": "faceprint.recognition.cluster",
    "compare": "faceprint.similarity",
    "decode": "faceprint.vision.images",
    "load": "faceprint.vision.analyzer",
    "verify": "faceprint.recognition.verify",
}

__all__ = [
    "AnalyzedImage",
    "DecodeError",
    "Detections",
    "Embedding",
    "Face",
    "FaceAnalyzer",
    "FacePrint",
    "FaceprintError",
    "Gallery",
    "ModelMismatchError",
    "NoFaceError",
    "Measurement",
    "OperatingPoint",
    "SeveralFacesError",
    "UnknownModelError",
    "Verification",
    "__version__",
    "cluster",
    "compare",
    "decode",
    "load",
    "verify",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'faceprint' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
