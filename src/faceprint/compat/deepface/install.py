"""Make `import deepface` give faceprint's module, for programs that can't be changed."""

from __future__ import annotations

import sys

from faceprint.compat.deepface import api
from faceprint.compat.replaced import replace_library

__all__ = ["install"]


def install() -> None:
    """Register this package as `deepface` in this process.

    Call it before the program imports `deepface`. A library of that name that has been imported
    already is replaced for imports that follow.
    """
    replace_library("deepface", __name__.rpartition(".")[0], ())
    sys.modules["deepface.DeepFace"] = api
