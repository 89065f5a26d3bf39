"""Make `import face_recognition` give faceprint's module, for programs that can't be changed."""

from __future__ import annotations

import importlib
import sys

__all__ = ["install"]

_SUBMODULES = ("api", "face_recognition_cli", "face_detection_cli")


def install() -> None:
    """Register this package as `face_recognition` in this process.

    Call it before the program imports `face_recognition`. A library of that name that has been
    imported already is replaced for imports that follow.
    """
    package = __name__.rpartition(".")[0]
    sys.modules["face_recognition"] = importlib.import_module(package)
    for name in _SUBMODULES:
        module = importlib.import_module(f"{package}.{name}")
        sys.modules[f"face_recognition.{name}"] = module
