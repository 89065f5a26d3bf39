"""Prepare images for a network: blobs by a card's input contract, and letterboxed canvases."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from faceprint.errors import InvalidImageArrayError, UsageError
from faceprint.geometry import Letterbox, letterbox
from faceprint.types import Array, Image, check_image
from faceprint.zoo.card import InputContract

__all__ = ["fit", "to_blob"]


def to_blob(images: Sequence[Image] | Image, contract: InputContract) -> Array:
    """Images of one size as a network's input: x' = (x - mean) / std on 0..255.

    Args:
        images: n images (h, w, 3) of one size, or one (n, h, w, 3) array; RGB uint8.
        contract: color order, mean, std and layout; its width and height are ignored.

    Returns:
        float32, contiguous: (n, 3, h, w), or (n, h, w, 3) for the layout NHWC.

    Raises:
        InvalidImageArrayError: not RGB uint8 of shape (h, w, 3), or not all of one size.
    """
    if not len(images):
        raise InvalidImageArrayError("a blob needs at least one image")
    size = check_image(images[0]).shape
    for image in images:
        if check_image(image).shape != size:
            raise InvalidImageArrayError(
                f"images of one batch must have one size, got {size[:2]} and {image.shape[:2]}"
            )
    mean = np.asarray(contract.mean, np.float32)
    scale = 1 / np.asarray(contract.std, np.float32)
    if contract.normalized_inside:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    if contract.layout == "NHWC":
        blob = np.empty((len(images), *size), np.float32)
        for row, image in zip(blob, images, strict=True):
            np.subtract(image if contract.color == "RGB" else image[:, :, ::-1], mean, out=row)
        if (scale != 1).any():
            blob *= scale
        return blob
    blob = np.empty((len(images), 3, *size[:2]), np.float32)
    for row, image in zip(blob, images, strict=True):
        # One plane after another: the float loops then run over contiguous numbers in the cache.
        for channel, plane in enumerate(row):
            plane[...] = cv2.extractChannel(
                image, channel if contract.color == "RGB" else 2 - channel
            )
            plane -= mean[channel]
            if scale[channel] != 1:
                plane *= scale[channel]
    return blob


def fit(
    image: Image,
    canvas: tuple[int, int],
    *,
    margin: float = 0.0,
    fill: tuple[int, int, int] = (0, 0, 0),
) -> tuple[Image, Letterbox]:
    """Scale an image into the middle of a canvas, with its aspect ratio.

    Args:
        image: (h, w, 3) RGB uint8.
        canvas: (width, height) in pixels.
        margin: share of the canvas left free on every side, from 0 to below 0.5.
        fill: RGB of the rest of the canvas.

    Returns:
        The (height, width, 3) canvas, and the `Letterbox` that undoes the scaling.

    Raises:
        UsageError: the canvas has no pixels, or the margin leaves no room.
    """
    if min(canvas) < 1 or not 0 <= margin < 0.5:
        raise UsageError(f"nothing fits into a canvas of {canvas} with a margin of {margin}")
    height, width = image.shape[:2]
    box = letterbox((width, height), canvas, margin=margin)
    if (box.width, box.height) == (width, height) == tuple(canvas):
        return np.ascontiguousarray(image), box
    out = np.empty((canvas[1], canvas[0], 3), np.uint8)
    left, top = int(box.left), int(box.top)
    right, bottom = left + box.width, top + box.height
    out[:top] = fill
    out[bottom:] = fill
    out[top:bottom, :left] = fill
    out[top:bottom, right:] = fill
    _resize(image, out[top:bottom, left:right])
    return out, box


def _resize(image: Image, out: Image) -> None:
    """Scale an image into `out`, which may be part of another image.

    Bilinear, after as many halvings as needed so that no pixels are skipped. Averaging by any other
    factor than two (INTER_AREA in one step) takes 4 to 10 times as long. A halving drops the last
    pixel of an odd side, which moves nothing by more than that pixel.
    """
    height, width = out.shape[:2]
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        even = image[: 2 * half[1], : 2 * half[0]]
        image = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape == out.shape:
        out[:] = image
    else:
        cv2.resize(image, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
