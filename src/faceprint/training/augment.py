"""Random changes of aligned crops: color, blur, JPEG, low resolution, masks, glasses, mirroring."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.training.crop_store import SIZE
from faceprint.training.run_file import Augmentation
from faceprint.types import Array, Face, Image
from faceprint.vision.occlude import occlude
from faceprint.zoo.card_io import TEMPLATES

__all__ = ["augment", "skip"]

_POINTS = np.asarray(TEMPLATES["arcface-112"][1], np.float32)


def augment(crop: Image, chances: Augmentation, random: np.random.Generator) -> Image:
    """A changed copy of a crop (112, 112, 3); each change happens with its own probability.

    Every probability draws from `random`, so that switching one change off does not alter others.
    """
    image = np.array(crop)
    draws, seeds = _draw(random)
    inner = [np.random.default_rng(seed) for seed in seeds]
    if draws[0] < chances.mask:
        image = _mask(image, inner[0])
    if draws[1] < chances.glasses:
        image = _glasses(image, inner[1])
    if draws[2] < chances.color:
        image = _color(image, inner[2])
    if draws[3] < chances.blur:
        sigma = float(inner[3].uniform(0.5, 2.0))
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    if draws[4] < chances.low_resolution:
        image = _low_resolution(image, chances.sides, inner[4])
    if draws[5] < chances.jpeg:
        quality = int(inner[5].integers(20, 90))
        _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]
    if draws[6] < chances.flip:
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def skip(random: np.random.Generator) -> None:
    """Draw what `augment` draws, for a crop that another process augments."""
    _draw(random)


def _draw(random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return random.random(7), random.integers(0, 2**63, 7)


def _color(image: Image, random: np.random.Generator) -> Image:
    """Other brightness, contrast and white balance, sometimes gray."""
    pixels = image.astype(np.float32)
    if random.random() < 0.2:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    mean = pixels.mean()
    pixels = (pixels - mean) * random.uniform(0.6, 1.4) + mean * random.uniform(0.6, 1.4)
    pixels *= random.uniform(0.9, 1.1, 3).astype(np.float32)
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)


def _low_resolution(image: Image, sides: tuple[int, ...], random: np.random.Generator) -> Image:
    side = int(random.integers(sides[0], sides[1]))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _jittered(random: np.random.Generator) -> Array:
    return np.asarray(_POINTS + random.uniform(-2, 2, _POINTS.shape), np.float32)


def _mask(image: Image, random: np.random.Generator) -> Image:
    """A mask over mouth and nose, as `occlude` draws it, tinted at random."""
    box = np.array([0, 0, SIZE, SIZE], np.float32)
    covered = occlude(image, Face(box, 1.0, _jittered(random)))
    changed = (covered != image).any(axis=2, keepdims=True)
    tint = random.uniform(0.2, 1.5, 3)
    colored = np.clip(covered * tint, 0, 255).astype(np.uint8)
    return np.where(changed, colored, image)


def _glasses(image: Image, random: np.random.Generator) -> Image:
    """Two frames and a bridge; sunglasses half of the time."""
    drawn = image.copy()
    points = _jittered(random)
    color = tuple(int(value) for value in random.integers(0, 80, 3))
    axes = (int(random.integers(13, 17)), int(random.integers(9, 14)))
    thickness = -1 if random.random() < 0.5 else int(random.integers(1, 4))
    for x, y in points[:2]:
        cv2.ellipse(drawn, (round(float(x)), round(float(y))), axes, 0, 0, 360, color, thickness)
    (left, right), width = points[:2], max(2, abs(thickness))
    start = (round(float(left[0])) + axes[0], round(float(left[1])))
    end = (round(float(right[0])) - axes[0], round(float(right[1])))
    cv2.line(drawn, start, end, color, width)
    return drawn
