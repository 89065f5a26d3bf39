"""What is taken from dlib where it is installed: its frontal detector and its 68 landmarks."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from faceprint import settings
from faceprint.compat.face_recognition.shapes import Box, Rectangle, Shape
from faceprint.errors import MissingExtraError, ModelMissingError
from faceprint.types import Image

__all__ = ["frontal_faces", "landmarks_68"]

_FILE = "shape_predictor_68_face_landmarks.dat"
_DEBIAN = Path("/usr/share/dlib")


def frontal_faces(image: Image, upsample: int) -> list[Rectangle]:
    """The boxes of dlib's frontal detector (HOG), most confident first.

    Raises:
        MissingExtraError: dlib is not installed.
    """
    return list(_frontal_detector()(image, upsample))


def landmarks_68(image: Image, boxes: Sequence[Box]) -> list[Shape]:
    """The 68 landmarks of the face in each box, as dlib's objects.

    Raises:
        MissingExtraError: dlib is not installed.
        ModelMissingError: dlib's predictor is not on this machine, or can't be read.
    """
    predictor, dlib = _predictor(_predictor_file()), _dlib("68 landmarks")
    return [
        predictor(image, dlib.rectangle(left, top, right, bottom))
        for top, right, bottom, left in boxes
    ]


def _predictor_file() -> Path:
    chosen = settings.dlib_landmarks()
    candidates = [chosen] if chosen else [*_packaged(), *sorted(_DEBIAN.rglob(_FILE))]
    found = next((path for path in candidates if path.is_file()), None)
    if found is not None:
        return found
    where = f"{chosen} is no file. " if chosen else ""
    raise ModelMissingError(
        f"{where}68 landmarks need dlib's {_FILE}. Set FACEPRINT_DLIB_LANDMARKS to it (Debian has "
        "it in libdlib-data), or ask for five landmarks: face_landmarks(..., model='small')"
    )


def _packaged() -> list[Path]:
    """The file in the distribution face_recognition_models, whose import needs pkg_resources."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        return []
    return [Path(spec.origin).parent / "models" / _FILE]


@functools.lru_cache(maxsize=1)
def _predictor(path: Path) -> Any:
    dlib = _dlib("68 landmarks")
    try:
        return dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise ModelMissingError(f"{path}: dlib can't read it: {error}") from error


@functools.lru_cache(maxsize=1)
def _frontal_detector() -> Any:
    return _dlib("FACEPRINT_COMPAT_DETECTOR=dlib").get_frontal_face_detector()


def _dlib(purpose: str) -> ModuleType:
    try:
        import dlib
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose}: dlib is not installed; run: pip install dlib-bin ({error})", name="dlib"
        ) from error
    module: ModuleType = dlib
    return module
