"""Make `import insightface` give faceprint's module, for programs that can't be changed."""

from __future__ import annotations

from faceprint.compat.replaced import replace_library

__all__ = ["install"]

_SUBMODULES = (
    "app",
    "app.common",
    "app.face_analysis",
    "model_zoo",
    "utils",
    "utils.face_align",
)


def install() -> None:
    """Register this package as `insightface` in this process.

    Call it before the program imports `insightface`. A library of that name that has been imported
    already is replaced for imports that follow.
    """
    replace_library("insightface", __name__.rpartition(".")[0], _SUBMODULES)
