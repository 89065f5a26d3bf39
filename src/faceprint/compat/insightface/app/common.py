"""`Face`, at the place where insightface has it."""

from __future__ import annotations

from faceprint.compat.insightface.face import Face

__all__ = ["Face"]
