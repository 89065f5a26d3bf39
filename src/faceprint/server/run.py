"""Running the application: one process, until it is told to stop."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import uvicorn

from faceprint.server.app import ServiceOptions, create_app

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["run"]


class _Models(Protocol):
    def load(self) -> FaceAnalyzer:
        """The models."""
        ...
