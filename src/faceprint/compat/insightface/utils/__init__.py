"""The part of insightface's utilities that is covered."""

from __future__ import annotations

from faceprint.compat.insightface.utils import face_align

__all__ = ["face_align"]
