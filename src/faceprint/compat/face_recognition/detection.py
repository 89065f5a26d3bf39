"""Faces by faceprint's detector: in whole images, and near boxes that the caller names."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceprint.compat.face_recognition.geometry import (
    corners,
    dlib_box,
    landmarks_of_box,
)
from faceprint.compat.face_recognition.shapes import Box
from faceprint.errors import UsageError
from faceprint.geometry import iou_matrix
from faceprint.types import Array, Image, check_image
from faceprint.vision.analyzer import FaceAnalyzer, load
from faceprint.vision.images import decode
from faceprint.vision.limits import check_size, default_limits
from faceprint.zoo.card import Alignment

__all__ = ["FoundFace", "alignment", "analyzer", "checked", "faces_at", "find_faces"]

_SAME_FACE = 0.3
"""Overlap (intersection over union) from which a box and a detection are the same face."""

_SEARCH_MARGIN, _SEARCH_FACE = 0.75, 120
"""Around a box without a detection: margin in sides of the box, and the side in pixels to which the
box is enlarged."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face in pixels of the image.

    Attributes:
        box: (4,) float32 x1 y1 x2 y2 of the square that dlib's detector would give.
        landmarks: (5, 2) float32.
        score: the detector's confidence, 0..1.
    """

    box: Array
    landmarks: Array
    score: float


@functools.lru_cache(maxsize=1)
def analyzer() -> FaceAnalyzer:
    """The models, opened on first use: MTCNN and dlib's network, whatever FACEPRINT_PACK says."""
    return load(detector="mtcnn", embedder="dlib-resnet")


def alignment() -> Alignment:
    """Where landmarks lie in the crops of dlib's network."""
    found = analyzer().embedder_card.alignment
    assert found is not None
    return found


def checked(image: Image) -> Image:
    """The image as contiguous RGB; a gray one gets three equal channels.

    Raises:
        InvalidImageArrayError: not a uint8 array of shape (H, W, 3) or (H, W).
        ImageTooLargeError: over the limit on pixels.
    """
    if isinstance(image, np.ndarray) and image.ndim == 2 and image.dtype == np.uint8:
        image = np.repeat(image[:, :, None], 3, axis=2)
    return decode(check_image(image))


def find_faces(images: Sequence[Image], upsample: int) -> list[list[FoundFace]]:
    """The faces of each image, largest first.

    Args:
        images: checked images.
        upsample: how often to double the sides before searching. The first time does nothing,
            since MTCNN finds faces of 20 to 30 pixels, as small as those that dlib's detector finds
            in an image doubled twice.

    Raises:
        UsageError: `upsample` is negative.
        ImageTooLargeError: an image would be too large when enlarged.
    """
    if upsample < 0:
        raise UsageError(f"number_of_times_to_upsample is {upsample}, below 0")
    factor = 2.0 ** max(0, min(upsample, 32) - 1)
    enlarged = [_resized(image, factor) for image in images]
    return [_faces(found, factor) for found in _detect(enlarged)]


def faces_at(image: Image, boxes: Sequence[Box]) -> list[FoundFace]:
    """The face in each box.

    It is the detection in the whole image that overlaps the box most, else the one in an enlarged
    part of the image around the box, else the mean face for that box.
    """
    if not boxes:
        return []
    (found,) = find_faces([image], 1)
    return [_overlapping(found, box) or _search(image, box) or _mean_face(box) for box in boxes]


def _detect(images: Sequence[Image]) -> list[tuple[Array, Array]]:
    """(n, 5, 2) landmarks and (n,) scores of each image."""
    results = []
    for found in analyzer().detector.detect(images):
        assert found.landmarks is not None  # MTCNN gives landmarks
        results.append((found.landmarks, found.scores))
    return results


def _faces(found: tuple[Array, Array], factor: float) -> list[FoundFace]:
    faces = []
    for points, score in zip(*found, strict=True):
        landmarks = np.asarray(points / factor, np.float32)
        box = np.asarray(dlib_box(landmarks, alignment()), np.float32)
        faces.append(FoundFace(box, landmarks, float(score)))
    return sorted(faces, key=lambda face: float(face.box[0] - face.box[2]))


def _overlapping(found: Sequence[FoundFace], box: Box) -> FoundFace | None:
    if not found:
        return None
    wanted = np.asarray([corners(box)], np.float32)
    overlaps = iou_matrix(wanted, np.stack([face.box for face in found]))[0]
    best = int(np.argmax(overlaps))
    return found[best] if overlaps[best] >= _SAME_FACE else None


def _search(image: Image, box: Box) -> FoundFace | None:
    """The face in the image around the box, enlarged if the box is small."""
    left, top, right, bottom = corners(box)
    side = max(right - left, bottom - top)
    margin = round(_SEARCH_MARGIN * side)
    height, width = image.shape[:2]
    x1, y1 = max(0, left - margin), max(0, top - margin)
    x2, y2 = min(width, right + margin), min(height, bottom + margin)
    if x1 >= x2 or y1 >= y2:
        raise UsageError(f"the box {box} lies outside the image of {width} x {height} pixels")
    factor = max(1.0, _SEARCH_FACE / side)
    part = _resized(np.ascontiguousarray(image[y1:y2, x1:x2]), factor)
    faces = _faces(_detect([part])[0], factor)
    offset = np.asarray((x1, y1), np.float32)
    moved = [
        FoundFace(face.box + np.tile(offset, 2), face.landmarks + offset, face.score)
        for face in faces
    ]
    return _overlapping(moved, box)


def _mean_face(box: Box) -> FoundFace:
    edges = np.asarray(corners(box), np.float32)
    return FoundFace(edges, landmarks_of_box(box, alignment()), 0.0)


def _resized(image: Image, factor: float) -> Image:
    if factor == 1:
        return image
    import cv2

    height, width = image.shape[:2]
    size = math.ceil(width * factor), math.ceil(height * factor)
    check_size(size, "the enlarged image", default_limits())
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
