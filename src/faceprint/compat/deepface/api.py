"""deepface's functions, with the names, arguments and results of version 0.0.103.

`model_name` is `Dlib`, `SFace` or `Buffalo_L`, `detector_backend` `mtcnn`, `yunet`, `retinaface` or
`skip`. The defaults differ from deepface's: `Dlib` and `mtcnn`, which are in the package. Arrays
are BGR, except the faces of `extract_faces`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NoReturn

import cv2
import numpy as np

from faceprint.compat.deepface.distances import distances
from faceprint.compat.deepface.faces import (
    CutFace,
    Cutting,
    check_options,
    cut_faces,
    facial_area,
)
from faceprint.compat.deepface.models import Recognizer, embed, find_recognizer, threshold_of
from faceprint.compat.deepface.photos import batch_of, is_batch, load_photo
from faceprint.compat.deepface.search import find
from faceprint.errors import UsageError
from faceprint.types import Array, Image

__all__ = ["analyze", "extract_faces", "find", "represent", "verify"]

_ELSEWHERE = {
    "stream": "the page of `faceprint serve` uses a camera",
    "register": "Gallery.enroll adds a face to a gallery",
    "search": "Gallery.identify searches a gallery",
    "identify": "Gallery.identify searches a gallery",
    "build_index": "a gallery has its own index",
    "build_model": "faceprint.load(detector=..., embedder=...) opens models",
    "detectFace": "extract_faces gives the faces of a photograph",
}
_NO_AREA = dict.fromkeys(("x", "y", "w", "h", "left_eye", "right_eye"))


class Verified(dict[str, Any]):
    """The answer of `verify`.

    Raises:
        KeyError: `confidence`, which is not covered.
    """

    def __missing__(self, name: str) -> Any:
        reason = "compare distance with threshold; faceprint.verify has measured error rates"
        raise KeyError(f"confidence is not covered: {reason}" if name == "confidence" else name)


def verify(  # noqa: PLR0913 - as in the original
    img1_path: Any,
    img2_path: Any,
    model_name: str = "Dlib",
    detector_backend: str = "mtcnn",
    distance_metric: str = "cosine",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    silent: bool = False,
    threshold: float | None = None,
    anti_spoofing: bool = False,
) -> dict[str, Any]:
    """Compare the two most similar faces of two photographs.

    Args:
        img1_path, img2_path: a path, an open binary file, base64 text, a BGR array, or an embedding
            as a list of numbers.
        distance_metric: `cosine`, `euclidean`, `euclidean_l2` or `angular`.
        enforce_detection: whether a photograph without a face is an error; else all of it is used.
        align: turn each face until its eyes are level.
        expand_percentage: percent by which the faces' boxes are enlarged.
        silent: accepted; nothing is printed.
        threshold: largest distance of one person; None for deepface's of the model and metric.

    Returns:
        `verified`, `distance`, `threshold`, `model`, `detector_backend`, `similarity_metric`,
        `facial_areas` with `img1` and `img2`, and `time` in seconds.

    Raises:
        NoFaceError: no face, with `enforce_detection`.
        DecodeError: a photograph that can't be used.
        UsageError: an argument that is not covered.
    """
    started = time.perf_counter()
    check_options(normalization=normalization, anti_spoofing=anti_spoofing)
    recognizer = find_recognizer(model_name)
    limit = threshold_of(recognizer, distance_metric, threshold)
    cutting = Cutting(detector_backend, enforce_detection, align, expand_percentage)
    known, known_areas = _embedded(img1_path, recognizer, cutting)
    probes, probe_areas = _embedded(img2_path, recognizer, cutting)
    table = np.stack([distances(known, probe, distance_metric) for probe in probes])
    row, column = divmod(int(np.argmin(table)), len(known))
    distance = float(table[row, column])
    return Verified(
        verified=distance <= limit,
        distance=distance,
        threshold=limit,
        model=model_name,
        detector_backend=detector_backend,
        similarity_metric=distance_metric,
        facial_areas={"img1": known_areas[column], "img2": probe_areas[row]},
        time=round(time.perf_counter() - started, 2),
    )


def represent(  # noqa: PLR0913 - as in the original
    img_path: Any,
    model_name: str = "Dlib",
    enforce_detection: bool = True,
    detector_backend: str = "mtcnn",
    align: bool = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    max_faces: int | None = None,
    l2_normalize: bool = False,
    minmax_normalize: bool = False,
    return_face: bool = False,
) -> list[Any]:
    """Embed the faces of a photograph, or of each photograph of a list.

    Args:
        max_faces: most faces of a photograph, the largest ones; None for all.
        l2_normalize: give the embeddings unit length.

    Returns:
        For each face `embedding` as a list of floats, `facial_area` and `face_confidence`; for
        several photographs a list of such lists.

    Raises:
        NoFaceError, DecodeError, UsageError: see `verify`.
    """
    check_options(normalization=normalization, anti_spoofing=anti_spoofing)
    if minmax_normalize or return_face:
        raise UsageError("minmax_normalize and return_face are not covered; see extract_faces")
    recognizer = find_recognizer(model_name)
    cutting = Cutting(detector_backend, enforce_detection, align, expand_percentage, max_faces)
    batch = is_batch(img_path)
    answers = []
    for photo in batch_of(img_path) if batch else [img_path]:
        image, faces = _cut(photo, cutting)
        raw = embed(recognizer, [face.crop for face in faces])
        if l2_normalize:
            raw = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-10)
        answers.append(
            [
                {
                    "embedding": [float(number) for number in vector],
                    "facial_area": facial_area(face, image),
                    "face_confidence": round(face.region.score, 2),
                }
                for face, vector in zip(faces, raw, strict=True)
            ]
        )
    return answers if len(answers) > 1 else answers[0]


def extract_faces(  # noqa: PLR0913 - as in the original
    img_path: Any,
    detector_backend: str = "mtcnn",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    grayscale: bool = False,
    color_face: str = "rgb",
    normalize_face: bool = True,
    anti_spoofing: bool = False,
    max_faces: int | None = None,
) -> list[Any]:
    """Cut out the faces of a photograph, or of each photograph of a list.

    Args:
        color_face: `rgb`, `bgr` or `gray`.
        normalize_face: give pixels as floats from 0 to 1.

    Returns:
        For each face `face` with its pixels, `facial_area` with `x`, `y`, `w`, `h`, `left_eye` and
        `right_eye` (the person's own), and `confidence`; for several photographs a list of such
        lists.

    Raises:
        NoFaceError, DecodeError, UsageError: see `verify`.
    """
    check_options(anti_spoofing=anti_spoofing)
    color = "gray" if grayscale else color_face
    if color not in ("rgb", "bgr", "gray"):
        raise UsageError(f"color_face is {color!r}, not 'rgb', 'bgr' or 'gray'")
    cutting = Cutting(detector_backend, enforce_detection, align, expand_percentage, max_faces)
    answers = []
    for photo in batch_of(img_path) if is_batch(img_path) else [img_path]:
        image, faces = _cut(photo, cutting)
        answers.append(
            [
                {
                    "face": _pixels(face.crop, color, normalize_face),
                    "facial_area": facial_area(face, image),
                    "confidence": round(face.region.score, 2),
                }
                for face in faces
            ]
        )
    return answers if is_batch(img_path) else answers[0]


def analyze(*_: object, **__: object) -> NoReturn:
    """Raise.

    Raises:
        UsageError: always: age, gender, emotion and race are not estimated here.
    """
    raise UsageError(
        "analyze is not covered: age, gender, emotion and race are not estimated here, since no "
        "model of the zoo does it with measured errors; extract_faces finds the faces"
    )


def __getattr__(name: str) -> NoReturn:
    reason = f" is not covered: {_ELSEWHERE[name]}" if name in _ELSEWHERE else ": no such function"
    raise AttributeError(f"DeepFace.{name}{reason}")


def _cut(photo: Any, cutting: Cutting) -> tuple[Image, list[CutFace]]:
    image, name = load_photo(photo)
    return image, cut_faces(image, name, cutting)


def _embedded(
    photo: Any, recognizer: Recognizer, cutting: Cutting
) -> tuple[Array, Sequence[dict[str, Any]]]:
    """(n, d) embeddings and the areas of a photograph's faces, or a given embedding."""
    if isinstance(photo, list):
        try:
            vector = np.asarray(photo, np.float32)
        except (TypeError, ValueError) as error:
            raise UsageError("a list stands for an embedding: numbers alone") from error
        if vector.shape != (recognizer.dim,):
            raise UsageError(f"{recognizer.name} has {recognizer.dim} numbers, not {vector.shape}")
        return vector[None], [dict(_NO_AREA)]
    image, faces = _cut(photo, cutting)
    vectors = embed(recognizer, [face.crop for face in faces])
    return vectors, [facial_area(face, image) for face in faces]


def _pixels(crop: Image, color: str, normalize: bool) -> np.ndarray:
    if color == "gray":
        crop = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    elif color == "bgr":
        crop = crop[:, :, ::-1]
    return crop / 255 if normalize else np.ascontiguousarray(crop)
