"""Drawn degradations of photographs: what poor pictures do to a recognizer can be measured."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
import PIL.Image

from faceprint.types import Array, Image

__all__ = ["KINDS", "degrade"]


def degrade(image: Image, box: Array, kind: str, rng: np.random.Generator) -> Image:
    """The photograph made poorer in one way, by a strength that is drawn.

    Args:
        image: (h, w, 3) RGB uint8.
        box: (4,) xyxy pixels of the face; strengths are relative to its shorter side.
        kind: one of `KINDS`.
        rng: draws the strength; one seed gives one picture.

    Returns:
        (h', w', 3) RGB uint8. `camera` and `small` change the size.
    """
    return _WAYS[kind](image, np.asarray(box, np.float64), rng)


def _side(box: Array) -> float:
    return float(max(1.0, min(box[2] - box[0], box[3] - box[1])))


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number drawn evenly on the logarithm's scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _scaled(image: Image, share: float) -> Image:
    height, width = image.shape[:2]
    size = (max(1, round(width * share)), max(1, round(height * share)))
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


def _blurred(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _jpeg(image: Image, quality: int) -> Image:
    data = BytesIO()
    PIL.Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(PIL.Image.open(data).convert("RGB"))


def _at_most(image: Image, box: Array, side: float) -> tuple[Image, Array]:
    """The image with a face no larger than `side` pixels, and the face's box in it."""
    share = min(1.0, side / _side(box))
    return (image, box) if share == 1.0 else (_scaled(image, share), box * share)


def _camera(image: Image, box: Array, rng: np.random.Generator) -> Image:
    """A far-off face of 10 to 48 pixels, blurred, then enlarged four times."""
    small = _scaled(image, min(1.0, _between(rng, 10, 48) / _side(box)))
    return _scaled(_blurred(small, rng.uniform(0.3, 1.5)), 4.0)


def _small(image: Image, box: Array, rng: np.random.Generator) -> Image:
    """A face of 10 to 48 pixels."""
    return _scaled(image, min(1.0, _between(rng, 10, 48) / _side(box)))


def _blur(image: Image, box: Array, rng: np.random.Generator) -> Image:
    """Out of focus, or moved while the shutter was open."""
    if rng.random() < 0.5:
        return _blurred(image, _between(rng, 0.02, 0.15) * _side(box))
    length = max(3, round(_between(rng, 0.08, 0.5) * _side(box)))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle = (length - 1) / 2
    reach = np.asarray((np.cos(angle), np.sin(angle))) * middle
    ends = [tuple(round(v) for v in middle + sign * reach) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _compressed(image: Image, box: Array, rng: np.random.Generator) -> Image:
    """A face of at most 100 pixels as a JPEG of quality 2 to 25."""
    return _jpeg(_at_most(image, box, 100)[0], round(_between(rng, 2, 25)))


def _noise(image: Image, box: Array, rng: np.random.Generator) -> Image:
    """A face of at most 100 pixels under Gaussian noise of 12 to 100 gray levels."""
    picture = _at_most(image, box, 100)[0]
    level = _between(rng, 12, 100)
    noisy = picture + rng.normal(0, level, picture.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def _exposure(image: Image, box: Array, rng: np.random.Generator) -> Image:
    """Two to six stops too dark, with a sensor's noise, or one to three too bright."""
    picture = _at_most(image, box, 100)[0].astype(np.float64)
    if rng.random() < 0.6:
        picture = picture * 2.0 ** -rng.uniform(2, 6) + rng.normal(0, 2, picture.shape)
    else:
        picture = picture * 2.0 ** rng.uniform(1, 3)
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def _occlusion(image: Image, box: Array, rng: np.random.Generator) -> Image:
    """A flat patch over 25 to 65 % of the face, from one side."""
    picture = image.copy()
    x1, y1, x2, y2 = box
    share = rng.uniform(0.25, 0.65)
    side = rng.integers(4)
    if side == 0:
        y2 = y1 + share * (y2 - y1)
    elif side == 1:
        y1 = y2 - share * (y2 - y1)
    elif side == 2:
        x2 = x1 + share * (x2 - x1)
    else:
        x1 = x2 - share * (x2 - x1)
    left, top, right, bottom = (max(0, round(v)) for v in (x1, y1, x2, y2))
    picture[top:bottom, left:right] = rng.integers(0, 256, 3)
    return picture


_WAYS: dict[str, Callable[[Image, Array, np.random.Generator], Image]] = {
    "camera": _camera,
    "small": _small,
    "blur": _blur,
    "jpeg": _compressed,
    "noise": _noise,
    "exposure": _exposure,
    "occlusion": _occlusion,
}
KINDS = tuple(_WAYS)
