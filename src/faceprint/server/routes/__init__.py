"""The routes of the service: one module per topic."""

from __future__ import annotations

from faceprint.server.routes import album, faces, health, recognition, subjects

__all__ = ["ROUTERS"]

ROUTERS = (
    health.open_router,
    health.router,
    faces.router,
    recognition.router,
    subjects.router,
    album.router,
)
