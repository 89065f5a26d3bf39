"""The functions of face_recognition 1.3.0, with its names, arguments and results.

Boxes are (top, right, bottom, left) in pixels of the image, images RGB uint8 arrays. The functions
with a leading underscore return objects with the methods of dlib's, as in the original.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint import settings
from faceprint.compat.face_recognition import dlib_parts
from faceprint.compat.face_recognition.detection import checked, faces_at, find_faces
from faceprint.compat.face_recognition.encoding import encode
from faceprint.compat.face_recognition.geometry import check_box, dlib_landmarks
from faceprint.compat.face_recognition.shapes import (
    Box,
    Detection,
    Rectangle,
    Shape,
    to_box,
    to_rectangle,
)
from faceprint.errors import UsageError
from faceprint.types import Image
from faceprint.vision.images import decode

__all__ = [
    "batch_face_locations",
    "compare_faces",
    "face_distance",
    "face_encodings",
    "face_landmarks",
    "face_locations",
    "load_image_file",
]

_PARTS_68 = {
    "chin": range(17),
    "left_eyebrow": range(17, 22),
    "right_eyebrow": range(22, 27),
    "nose_bridge": range(27, 31),
    "nose_tip": range(31, 36),
    "left_eye": range(36, 42),
    "right_eye": range(42, 48),
    "top_lip": (*range(48, 55), *range(64, 59, -1)),
    "bottom_lip": (*range(54, 60), 48, 60, *range(67, 63, -1)),
}
_PARTS_5 = {"nose_tip": range(4, 5), "left_eye": range(2, 4), "right_eye": range(2)}
"""The indices of each part's landmarks; lips are closed outlines."""


def load_image_file(file: str | os.PathLike[str] | BinaryIO, mode: str = "RGB") -> Image:
    """Decode a photograph, upright by its EXIF orientation.

    Args:
        file: a path, or a file object that was opened in binary mode.
        mode: `RGB` for (H, W, 3), `L` for gray (H, W).

    Raises:
        SourceNotFoundError: no file of that name (also a FileNotFoundError).
        DecodeError: not a photograph, damaged, truncated or too large.
        UsageError: another mode.
    """
    if mode not in ("RGB", "L"):
        raise UsageError(f"mode is {mode!r}, not 'RGB' or 'L'")
    source = cast("BinaryIO", file).read() if hasattr(file, "read") else file
    pixels = decode(cast("str | bytes", source))
    if mode == "RGB":
        return pixels
    import PIL.Image

    return np.array(PIL.Image.fromarray(pixels).convert("L"))


def face_locations(
    img: Image, number_of_times_to_upsample: int = 1, model: str = "hog"
) -> list[Box]:
    """The faces' boxes, clipped to the image, largest first.

    Args:
        img: (H, W, 3) RGB or (H, W) gray, uint8.
        number_of_times_to_upsample: above 1 for faces below 20 pixels; 0 and 1 are the same.
        model: `hog` or `cnn`. Both are MTCNN; with FACEPRINT_COMPAT_DETECTOR=dlib `hog` is dlib's
            frontal detector.

    Raises:
        InvalidImageArrayError, ImageTooLargeError, UsageError: see the message.
    """
    found = _raw_face_locations(img, number_of_times_to_upsample, model)
    return [_clipped(to_box(getattr(each, "rect", each)), img) for each in found]


def batch_face_locations(
    images: Sequence[Image], number_of_times_to_upsample: int = 1, batch_size: int = 128
) -> list[list[Box]]:
    """`face_locations(..., model="cnn")` of several images, `batch_size` of them at a time."""
    found = _raw_face_locations_batched(images, number_of_times_to_upsample, batch_size)
    return [
        [_clipped(to_box(each.rect), image) for each in faces]
        for image, faces in zip(images, found, strict=True)
    ]


def face_landmarks(
    face_image: Image, face_locations: Sequence[Sequence[int]] | None = None, model: str = "large"
) -> list[dict[str, list[tuple[int, int]]]]:
    """The landmarks (x, y) of each face, by part of the face.

    Args:
        face_locations: boxes of the faces; None to find them.
        model: `small` for five landmarks: one of the nose and two corners per eye. `large` for 68,
            which need dlib and its predictor (docs/migrating.md).

    Raises:
        MissingExtraError, ModelMissingError: 68 landmarks without dlib or its predictor.
        UsageError: another model, or a box that is none.
    """
    parts = _PARTS_5 if model == "small" else _PARTS_68
    shapes = _raw_face_landmarks(face_image, face_locations, model)
    points = [[(int(point.x), int(point.y)) for point in shape.parts()] for shape in shapes]
    return [{name: [each[i] for i in parts[name]] for name in parts} for each in points]


def face_encodings(
    face_image: Image,
    known_face_locations: Sequence[Sequence[int]] | None = None,
    num_jitters: int = 1,
    model: str = "small",
) -> list[NDArray[np.float64]]:
    """dlib's 128 numbers for each face; Euclidean distance 0.6 separates people.

    Args:
        known_face_locations: boxes of the faces; None to find them. A box gets the landmarks of the
            detection that overlaps it most; if there is none, those of a mean face.
        num_jitters: 1 for the face as it is; more average that many resampled faces.
        model: `small` or `large`; the same here, since MTCNN's landmarks align the face.

    Raises:
        InvalidImageArrayError, ImageTooLargeError, UsageError: see the message.
    """
    _check("model", model, ("small", "large"))
    image = checked(face_image)
    if known_face_locations is None and settings.compat_detector() == "dlib":
        known_face_locations = [to_box(box) for box in dlib_parts.frontal_faces(image, 1)]
    if known_face_locations is None:
        faces = find_faces([image], 1)[0]
    else:
        faces = faces_at(image, [check_box(box) for box in known_face_locations])
    return encode(image, faces, num_jitters)


def face_distance(face_encodings: ArrayLike, face_to_compare: ArrayLike) -> NDArray[np.float64]:
    """(n,) Euclidean distances of n encodings to one; lower is closer.

    Raises:
        UsageError: encodings of different lengths.
    """
    known, probe = np.asarray(face_encodings, np.float64), np.asarray(face_to_compare, np.float64)
    if len(known) == 0:
        return np.empty(0)
    if known.ndim != 2 or probe.ndim != 1 or known.shape[1] != len(probe):
        raise UsageError(f"encodings of shape {known.shape} can't be compared with {probe.shape}")
    return np.asarray(np.linalg.norm(known - probe, axis=1))


def compare_faces(
    known_face_encodings: ArrayLike, face_encoding_to_check: ArrayLike, tolerance: float = 0.6
) -> list[bool]:
    """For each known encoding whether it is within `tolerance` of the other one."""
    distances = face_distance(known_face_encodings, face_encoding_to_check)
    return [bool(distance <= tolerance) for distance in distances]


def _raw_face_locations(
    img: Image, number_of_times_to_upsample: int = 1, model: str = "hog"
) -> list[Any]:
    """Rectangles, or detections with `rect` and `confidence` for the model `cnn`."""
    _check("model", model, ("hog", "cnn"))
    image = checked(img)
    if model == "hog" and settings.compat_detector() == "dlib":
        return dlib_parts.frontal_faces(image, number_of_times_to_upsample)
    found = _raw_face_locations_batched([image], number_of_times_to_upsample)[0]
    return list(found) if model == "cnn" else [each.rect for each in found]


def _raw_face_locations_batched(
    images: Sequence[Image], number_of_times_to_upsample: int = 1, batch_size: int = 128
) -> list[list[Detection]]:
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}, below 1")
    results: list[list[Detection]] = []
    for start in range(0, len(images), batch_size):
        batch = [checked(image) for image in images[start : start + batch_size]]
        results += [
            [Detection(_rectangle(face.box), face.score) for face in faces]
            for faces in find_faces(batch, number_of_times_to_upsample)
        ]
    return results


def _raw_face_landmarks(
    face_image: Image, face_locations: Sequence[Sequence[int]] | None = None, model: str = "large"
) -> Sequence[Shape]:
    _check("model", model, ("small", "large"))
    image = checked(face_image)
    if face_locations is None:
        boxes = [to_box(rectangle) for rectangle in _raw_face_locations(image)]
    else:
        boxes = [check_box(box) for box in face_locations]
    if model == "large":
        return dlib_parts.landmarks_68(image, boxes)
    return [dlib_landmarks(face.landmarks) for face in faces_at(image, boxes)]


def _rectangle(box: NDArray[np.float32]) -> Rectangle:
    left, top, right, bottom = (round(float(edge)) for edge in box)
    return to_rectangle((top, right, bottom, left))


def _clipped(box: Box, image: Image) -> Box:
    height, width = image.shape[:2]
    top, right, bottom, left = box
    return max(top, 0), min(right, width), min(bottom, height), max(left, 0)


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}, not {' or '.join(map(repr, allowed))}")
