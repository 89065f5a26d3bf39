"""Galleries: people's templates, stored safely and searched."""

from __future__ import annotations

from faceprint.recognition.gallery.crypto import Key, new_key
from faceprint.recognition.gallery.enrollment import EnrollOptions
from faceprint.recognition.gallery.face_choice import FaceAt
from faceprint.recognition.gallery.foreign.layouts import SourceTable
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.gallery.records import (
    Consent,
    Enrolled,
    ModelPin,
    Outcome,
    Policy,
    Skipped,
    Subject,
)
from faceprint.recognition.gallery.sources import folder_pairs

__all__ = [
    "Consent",
    "EnrollOptions",
    "Enrolled",
    "FaceAt",
    "Gallery",
    "Key",
    "ModelPin",
    "Outcome",
    "Policy",
    "Skipped",
    "SourceTable",
    "Subject",
    "folder_pairs",
    "new_key",
]
