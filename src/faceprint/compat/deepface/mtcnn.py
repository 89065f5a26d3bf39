"""The search of the PyPI library mtcnn 1.0, which is deepface's detector `mtcnn`.

The networks are those of the card `mtcnn`, whose weights come from that library. Its search differs
from faceprint's own (vision/detect/mtcnn.py), and with it the boxes, by some per cent of their
width:

- the pyramid begins at faces of 20 pixels, whatever the photograph's size, and each level is made
  from the photograph itself;
- P-Net's windows begin one pixel later, and its offsets are shares of 11 pixels;
- P-Net's boxes are moved before overlapping ones are dropped, and a box that is dropped still drops
  others;
- offsets and landmarks of R-Net and O-Net are shares of a side that counts one pixel more;
- their crops are samples from the center of the first pixel to that of the last, not averages, and
  are gray outside the photograph;
- a photograph without faces is not searched again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.geometry import iou_matrix
from faceprint.types import Array, Detections, Image
from faceprint.vision.detect.cascade_batching import CELL, STRIDE
from faceprint.vision.detect.mtcnn import MtcnnDetector

__all__ = ["find_faces"]

Boxes = NDArray[np.float64]
"""(n, 4) xyxy in pixels."""

_RATIO, _SMALLEST = 0.709, 20
"""Size of a pyramid level as a share of the one before; side of the smallest face in pixels."""

_PROPOSED, _REFINED, _FINAL = 0.6, 0.7, 0.8
"""Face probability of each stage; a box needs a higher one."""

_TOGETHER = 256
"""Boxes that are cut, or compared with the better ones, at a time; bounds memory."""

_STRIP = 64
"""Rows of an image that are averaged at a time: their sums fit into a cache."""

_GRAY = 127.5
"""Brightness that the networks see as 0."""


def find_faces(detector: MtcnnDetector, image: Image) -> Detections:
    """The faces of an RGB image, best score first; boxes are clipped to it, landmarks are not.

    Args:
        detector: whose networks run; its settings are not used.
    """
    boxes = _propose(detector, image)
    if not len(boxes):
        return Detections.empty()
    crops = _crops(image, boxes, 24)
    scores, offsets = detector.blocks.crops(detector.rnet, crops, 16)
    boxes = _moved(boxes, offsets)
    boxes = _square(boxes[_best(boxes, scores, 0.7, least=_REFINED)])
    if not len(boxes):
        return Detections.empty()
    crops = _crops(image, boxes, 48)
    scores, offsets, shares = detector.blocks.crops(detector.onet, crops, 4)
    points = np.stack([shares[:, :5], shares[:, 5:]], axis=2)
    landmarks = boxes[:, None, :2] - 1 + points * _sides(boxes)[:, None]
    boxes = _moved(boxes, offsets)
    faces = _best(boxes, scores, 0.7, least=_FINAL, over_minimum=True)
    last = np.asarray(image.shape[1::-1]) - 1
    inside = np.clip(boxes[faces].reshape(-1, 2, 2), 0, last).reshape(-1, 4)
    return Detections(inside.astype(np.float32), scores[faces], landmarks[faces].astype(np.float32))


def _propose(detector: MtcnnDetector, image: Image) -> Boxes:
    """P-Net's proposals as squares, best first."""
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    # Nothing is found in black, which deepface puts around a photograph.
    left, top, across, down = cv2.boundingRect(image.reshape(height, width * 3))
    left, right = left // 3, -(-(left + across) // 3)
    content = image[top : top + down, left:right]
    if not content.size:
        return np.zeros((0, 4))
    scales = _scales(height, width)
    rows = [_axis(height, scale, top, top + down) for scale in scales]
    columns = [_axis(width, scale, left, right) for scale in scales]
    levels = (_level(content, *axes) for axes in zip(rows, columns, strict=True))
    maps = detector.blocks.proposals(detector.pnet, levels)
    boxes, scores = np.zeros((0, 4)), np.zeros(0, np.float32)
    for index, (probabilities, offsets) in enumerate(maps):
        row, column = np.nonzero(probabilities[0] > _PROPOSED)
        origin = columns[index].first, rows[index].first
        corner = np.stack([column, row], axis=1) * STRIDE + origin
        window = np.concatenate([corner + 1, corner + CELL], axis=1)
        moved = window + offsets[0, :, row, column] * (CELL - 1)
        found = np.asarray(moved / scales[index], np.float64)
        probability = probabilities[0, row, column]
        kept = _best(found, probability, 0.5)
        boxes = np.concatenate([boxes, found[kept]])
        scores = np.concatenate([scores, probability[kept]])
    return _square(boxes[_best(boxes, scores, 0.7)])


def _scales(height: int, width: int) -> list[float]:
    """The sizes of the pyramid's levels, as shares of the image's."""
    count = round(-(math.log(min(height, width) / CELL) / math.log(_RATIO) + 1))
    return [CELL / _SMALLEST * _RATIO**level for level in range(count)]


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """The rows or columns of a pyramid level in which P-Net can see content.

    Attributes:
        first: the first of them.
        step: pixels of the image per pixel of the level.
        edges: (n + 1,) where they begin and end, in pixels of the content.
    """

    first: int
    step: float
    edges: NDArray[np.float64]


def _axis(size: int, scale: float, begin: int, end: int) -> _Axis:
    """An axis of an image of `size` pixels, whose content reaches from `begin` to `end`."""
    level = int(size * scale)
    step = size / level
    first = max(0, int(begin / step) - CELL) // STRIDE * STRIDE
    last = min(level, math.ceil(end / step) + CELL + 1)
    # TensorFlow places the edges with 32 bits.
    edges = np.arange(first, last + 1, dtype=np.float32) * np.float32(step)
    return _Axis(first, step, np.clip(edges.astype(np.float64) - begin, 0, end - begin))


def _level(content: Image, rows: _Axis, columns: _Axis) -> Array:
    """(1, h, w, 3) float32 averages over the area of each pixel; what is not content is black.

    They are differences of the integral image, which is bilinear within a pixel. A strip of it is
    made at a time. `cv2.INTER_AREA` gives the same, but only from a whole image of float32.
    """
    count = len(rows.edges) - 1
    level = np.empty((1, count, len(columns.edges) - 1, 3), np.float32)
    together = max(1, int(_STRIP / rows.step))
    for start in range(0, count, together):
        edges = rows.edges[start : start + together + 1]
        top = min(int(edges[0]), len(content) - 1)
        strip = content[top : max(math.ceil(edges[-1]), top + 1)]
        total = np.asarray(cv2.integral(strip, sdepth=cv2.CV_64F), np.float64)
        sums = _sampled(_sampled(total, edges - top, 0), columns.edges, 1)
        areas = np.diff(np.diff(sums, axis=0), axis=1)
        level[0, start : start + together] = areas / (rows.step * columns.step)
    return level


def _sampled(
    values: NDArray[np.float64], places: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    """Linear interpolation of (h, w, 3) values along an axis."""
    low = np.minimum(places.astype(np.intp), values.shape[axis] - 2)
    rest = (places - low)[(...,) + (None,) * (2 - axis)]
    before = values.take(low, axis)
    return np.asarray(before + (values.take(low + 1, axis) - before) * rest)


def _best(
    boxes: Boxes, scores: Array, limit: float, *, least: float = 0.0, over_minimum: bool = False
) -> NDArray[np.intp]:
    """Indices of the boxes that overlap no better one by more than `limit`, best first.

    Unlike in greedy suppression, a box need not be kept itself to drop others.

    Args:
        least: boxes without a higher score than this are left out first.
        over_minimum: see `iou_matrix`.
    """
    chosen = np.flatnonzero(scores > least)
    # The library's order where scores are equal, which sorts numbers of 64 bits.
    order = chosen[np.argsort(scores[chosen].astype(np.float64))[::-1]]
    ranked = boxes[order].astype(np.float32)
    kept = [order[:0]]
    for start in range(0, len(order), _TOGETHER):
        part = ranked[start : start + _TOGETHER]
        better = ranked[: start + len(part)]
        overlap = iou_matrix(better, part, over_minimum=over_minimum) > limit
        kept.append(order[start : start + _TOGETHER][~np.triu(overlap, 1 - start).any(axis=0)])
    return np.concatenate(kept)


def _sides(boxes: Boxes) -> Boxes:
    """(n, 2) width and height, counted as the library does."""
    return np.asarray(boxes[:, 2:] - boxes[:, :2] + 1)


def _moved(boxes: Boxes, offsets: Array) -> Boxes:
    """Boxes whose corners are moved by offsets, which are shares of the sides."""
    return np.asarray(boxes + offsets * np.tile(_sides(boxes), 2))


def _square(boxes: Boxes) -> Boxes:
    """Squares of the longer side around the same centers."""
    sides = boxes[:, 2:] - boxes[:, :2]
    side = sides.max(axis=1, keepdims=True, initial=0)
    corner = boxes[:, :2] + (sides - side) / 2
    return np.concatenate([corner, corner + side], axis=1)


def _crops(image: Image, boxes: Boxes, size: int) -> Array:
    """(n, size, size, 3) float32 samples of the boxes' pixels, bilinear, gray outside."""
    last = np.asarray(image.shape[1::-1], np.float32) - 1
    # A share of a side is taken as one of the way from the first pixel's center to the last's.
    corners = (boxes.reshape(-1, 2, 2) / image.shape[1::-1]).astype(np.float32) * last
    step = (corners[:, 1] - corners[:, 0]) / np.float32(size - 1)
    # (n, size, 2): columns and rows.
    places = corners[:, :1] + step[:, None] * np.arange(size, dtype=np.float32)[:, None]
    outside = (places < 0) | (places > last)
    places = np.clip(places, 0, last)
    below, above = np.floor(places).astype(np.intp), np.ceil(places).astype(np.intp)
    rest = (places - below).astype(np.float32)
    crops = np.empty((len(boxes), size, size, 3), np.float32)
    for start in range(0, len(boxes), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        left, right = below[part, None, :, 0], above[part, None, :, 0]
        top, bottom = below[part, :, None, 1], above[part, :, None, 1]
        across, down = rest[part, None, :, 0], rest[part, :, None, 1]
        upper = _between(image[top, left], image[top, right], across)
        lower = _between(image[bottom, left], image[bottom, right], across)
        crops[part] = _between(upper, lower, down)
        crops[part][outside[part, None, :, 0] | outside[part, :, None, 1]] = _GRAY
    return crops


def _between(a: Array | Image, b: Array | Image, share: Array) -> Array:
    return np.asarray(a * (1 - share[..., None]) + b * share[..., None], np.float32)
