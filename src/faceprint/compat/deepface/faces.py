"""Faces cut out as deepface does it: the box, turned until the eyes are level."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from faceprint.compat.deepface.detection import Region, detect
from faceprint.errors import NoFaceError, UsageError
from faceprint.types import Image
from faceprint.vision.limits import default_limits

__all__ = ["CutFace", "Cutting", "check_options", "cut_faces", "facial_area"]


@dataclass(frozen=True, slots=True)
class Cutting:
    """How faces are found and cut.

    Attributes:
        backend: the detector's name, or `skip` to take the whole image.
        enforce: whether an image without a face is an error.
        align: whether faces are turned until the eyes are level.
        expand: percent by which boxes are enlarged.
        most: largest number of faces, the largest ones; None for all.

    Raises:
        UsageError: a number out of range.
    """

    backend: str
    enforce: bool = True
    align: bool = True
    expand: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.expand <= 1000:
            raise UsageError(f"expand_percentage is {self.expand}, not from 0 to 1000")
        if self.most is not None and self.most < 1:
            raise UsageError(f"max_faces is {self.most}, below 1")


@dataclass(frozen=True, slots=True)
class CutFace:
    """A face's pixels, and where it was.

    Attributes:
        crop: (h, w, 3) RGB uint8.
        region: in pixels of the image.
    """

    crop: Image
    region: Region


def check_options(*, normalization: str = "base", anti_spoofing: bool = False) -> None:
    """Refuse options of deepface's that are not covered.

    Raises:
        UsageError: other pixels than the network was trained on, or a judgment of liveness.
    """
    if normalization != "base":
        raise UsageError(f"normalization {normalization!r} is not covered; leave it at 'base'")
    if anti_spoofing:
        raise UsageError("anti_spoofing is not covered: liveness is not judged here")


def facial_area(face: CutFace, image: Image) -> dict[str, Any]:
    """x, y, w, h and the landmarks of a face, clipped to the image, as deepface gives them."""
    height, width = image.shape[:2]
    x, y, w, h = face.region.box
    x, y = max(0, x), max(0, y)
    area: dict[str, Any] = {"x": x, "y": y, "w": min(width - x - 1, w), "h": min(height - y - 1, h)}
    points: dict[str, Any] = {"left_eye": None, "right_eye": None, **face.region.points}
    for name, point in points.items():
        inside = point is not None and 0 <= point[0] < width and 0 <= point[1] < height
        area[name] = point if inside else None
    return area


def cut_faces(image: Image, name: str, cutting: Cutting) -> list[CutFace]:
    """The faces of an RGB image.

    Args:
        name: of the image, for messages.

    Raises:
        NoFaceError: there is none, and `cutting.enforce`.
        UsageError: a detector that is not covered.
    """
    if cutting.backend == "skip":
        return [_whole(image)]
    faces = [face for face in _found(image, cutting) if face.crop.size]
    if faces:
        return faces
    if cutting.enforce:
        raise NoFaceError(f"no face in {name}; enforce_detection=False takes the whole photograph")
    return [_whole(image)]


def _whole(image: Image) -> CutFace:
    return CutFace(image, Region((0, 0, image.shape[1], image.shape[0]), 0.0, {}))


def _found(image: Image, cutting: Cutting) -> list[CutFace]:
    across, down = _border(image) if cutting.align else (0, 0)
    # deepface searches with a black border, so that turned faces do not leave the image.
    searched = cv2.copyMakeBorder(image, down, down, across, across, cv2.BORDER_CONSTANT)
    regions = detect(cutting.backend, np.asarray(searched, np.uint8))
    if cutting.most is not None:
        regions = sorted(regions, key=lambda each: -each.box[2] * each.box[3])[: cutting.most]
    faces = []
    for region in regions:
        placed = replace(region, box=_expanded(region.box, searched, cutting.expand))
        if placed.box[2] and placed.box[3]:
            crop = _cut(searched, placed, cutting.align)
            faces.append(CutFace(crop, _moved(placed, across, down)))
    return faces


def _border(image: Image) -> tuple[int, int]:
    """The width of the border at the sides and at the top and bottom.

    It is half of each side, or less where the image would then have more pixels than are decoded.
    """
    height, width = image.shape[:2]
    largest = math.sqrt(default_limits().max_pixels / (height * width))
    share = min(0.5, max(0.0, (largest - 1) / 2))
    return int(share * width), int(share * height)


def _expanded(
    box: tuple[int, int, int, int], image: Image, percent: int
) -> tuple[int, int, int, int]:
    """The box, enlarged around its middle and clipped to the image."""
    x, y, w, h = box
    height, width = image.shape[:2]
    if percent:
        more_w, more_h = int(w * percent / 100), int(h * percent / 100)
        x, y = max(0, x - more_w // 2), max(0, y - more_h // 2)
        w, h = min(width - x, w + more_w), min(height - y, h + more_h)
    right, bottom = min(width, x + w), min(height, y + h)
    x, y = max(0, x), max(0, y)
    return x, y, max(0, right - x), max(0, bottom - y)


def _cut(image: Image, region: Region, align: bool) -> Image:
    x, y, w, h = region.box
    if not align:
        return np.ascontiguousarray(image[y : y + h, x : x + w])
    left, right = region.points["left_eye"], region.points["right_eye"]
    angle = math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))
    middle = x - w // 2 + (w + w // 2 * 2) // 2, y - h // 2 + (h + h // 2 * 2) // 2
    matrix = cv2.getRotationMatrix2D(middle, angle, 1.0)
    matrix[:, 2] -= x, y
    return np.asarray(cv2.warpAffine(image, matrix, (w, h), flags=cv2.INTER_CUBIC), np.uint8)


def _moved(region: Region, across: int, down: int) -> Region:
    x, y, w, h = region.box
    points = {name: (px - across, py - down) for name, (px, py) in region.points.items()}
    return replace(region, box=(x - across, y - down, w, h), points=points)
