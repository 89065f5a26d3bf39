"""Make `import face_recognition` give faceprint's module, for programs that can't be changed."""

from __future__ import annotations

from faceprint.compat.replaced import replace_library

__all__ = ["install"]

_SUBMODULES = ("api", "face_recognition_cli", "face_detection_cli")


def install() -> None:
    """Register this package as `face_recognition` in this process.

    Call it before the program imports `face_recognition`. A library of that name that has been
    imported already is replaced for imports that follow.
    """
    replace_library("face_recognition", __name__.rpartition(".")[0], _SUBMODULES)
