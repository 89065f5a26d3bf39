"""The functions of the PyPI library face_recognition 1.3.0, on faceprint's models.

>>> from faceprint.compat import face_recognition
>>> image = face_recognition.load_image_file("a.jpg")  # doctest: +SKIP
>>> face_recognition.face_encodings(image)  # doctest: +SKIP

Encodings come from the same network, so those that were stored with dlib can be compared with new
ones. Faces are found by MTCNN. docs/migrating.md lists the differences.
"""

from __future__ import annotations

from faceprint.compat.face_recognition.api import (
    batch_face_locations,
    compare_faces,
    face_distance,
    face_encodings,
    face_landmarks,
    face_locations,
    load_image_file,
)
from faceprint.compat.face_recognition.install import install

__all__ = [
    "batch_face_locations",
    "compare_faces",
    "face_distance",
    "face_encodings",
    "face_landmarks",
    "face_locations",
    "install",
    "load_image_file",
]
