"""Plane geometry on arrays: similarity transforms, overlaps of boxes, suppression, letterboxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array

__all__ = ["Letterbox", "iou_matrix", "letterbox", "nms", "similarity_transforms"]

_MIN_SIZE_CLASS = 3
"""Groups of up to 2**3 boxes are handled together: each class of sizes has a cost of its own."""

_MATRIX_LIMIT = 2000
"""Boxes above which the overlap matrix costs more than a loop over the kept boxes."""


def similarity_transforms(source: Array, target: Array, weights: Array | None = None) -> Array:
    """Least-squares similarity transforms (rotation, uniform scale, shift; never a reflection).

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 13(4), 1991, in its closed form for the plane: with centered points as complex numbers z
    and t, the optimum is the regression t = a z, a = sum(w conj(z) t) / sum(w |z|^2).

    Args:
        source: (n, k, 2) points to move, k >= 2.
        target: (k, 2) or (n, k, 2) points to move them to.
        weights: (k,) non-negative weight of each point; None for equal weights.

    Returns:
        (n, 2, 3) float32 matrices that move source to target. Coincident source points give a
        pure shift.
    """
    src = np.asarray(source, np.float64)
    dst = np.broadcast_to(np.asarray(target, np.float64), src.shape)
    w = np.ones(src.shape[1]) if weights is None else np.asarray(weights, np.float64)
    w = w / w.sum()
    src_mean = np.einsum("k,nkc->nc", w, src)
    dst_mean = np.einsum("k,nkc->nc", w, dst)
    src_centered, dst_centered = src - src_mean[:, None], dst - dst_mean[:, None]
    z = src_centered[..., 0] + 1j * src_centered[..., 1]
    t = dst_centered[..., 0] + 1j * dst_centered[..., 1]
    extent = (w * np.abs(z) ** 2).sum(axis=1)
    flat = extent < 1e-12
    a = (w * np.conj(z) * t).sum(axis=1) / np.where(flat, 1.0, extent)
    a = np.where(flat, 1.0, a)
    matrices = np.empty((len(src), 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = a.real
    matrices[:, 1, 0] = a.imag
    matrices[:, 0, 1] = -a.imag
    matrices[:, :, 2] = dst_mean - np.einsum("nij,nj->ni", matrices[:, :, :2], src_mean)
    return np.asarray(matrices, np.float32)


def iou_matrix(a: Array, b: Array, *, over_minimum: bool = False) -> Array:
    """Intersection over union of (n, 4) and (m, 4) xyxy boxes: (n, m).

    Args:
        over_minimum: divide by the smaller area, not by the union.
    """
    return _overlaps(a, b, over_minimum)


def nms(
    boxes: Array,
    scores: Array,
    threshold: float,
    *,
    over_minimum: bool = False,
    groups: NDArray[np.integer] | None = None,
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes: (n, 4) xyxy; scores: (n,).
        threshold: a box that overlaps a kept box of higher score by more than this is dropped.
        over_minimum: divide the intersection by the smaller area, not by the union, so that a box
            inside another is dropped (MTCNN's last stage).
        groups: (n,) group of each box; boxes of different groups do not suppress each other.

    Returns:
        Indices of the kept boxes, best score first.
    """
    if not len(boxes):
        return np.empty(0, np.intp)
    if groups is None:
        groups = np.zeros(len(boxes), np.intp)
    order = np.lexsort((-scores, groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[0]] - 1))
    sizes = np.diff(starts, append=len(order))
    # Groups of similar size go together: padded to a large one, small ones are mostly empty.
    classes = np.maximum(np.ceil(np.log2(sizes)), _MIN_SIZE_CLASS)
    parts = []
    for size in np.unique(classes):
        alike = classes == size
        members, counts = order[np.repeat(alike, sizes)], sizes[alike]
        if len(counts) * int(counts.max()) ** 2 > _MATRIX_LIMIT**2:
            alone = np.split(members, np.cumsum(counts)[:-1])
            parts += [_nms_of_group(boxes, part, threshold, over_minimum) for part in alone]
        else:
            stays = _nms_of_groups(boxes[members], counts, threshold, over_minimum)
            parts.append(members[stays])
    kept = np.concatenate(parts)
    best: NDArray[np.intp] = kept[np.lexsort((kept, -scores[kept]))]
    return best


def _nms_of_groups(
    boxes: Array, sizes: NDArray[np.intp], threshold: float, over_minimum: bool
) -> NDArray[np.bool_]:
    """(n,) whether a box is kept, of consecutive groups with these sizes, best box first in each.

    Each group is padded to the longest and compared with itself only, which keeps the matrices
    small.
    """
    group = np.repeat(np.arange(len(sizes)), sizes)
    rank = np.arange(len(boxes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.zeros((len(sizes), sizes.max(), 4), boxes.dtype)
    rows[group, rank] = boxes
    return _fixed_point(_overlaps(rows, rows, over_minimum) > threshold)[group, rank]


def _nms_of_group(
    boxes: Array, order: NDArray[np.intp], threshold: float, over_minimum: bool
) -> NDArray[np.intp]:
    """Indices of the kept boxes of a group, whose indices `order` lists best first."""
    if len(order) > _MATRIX_LIMIT:
        return _nms_greedy(boxes, order, threshold, over_minimum)
    ranked = boxes[order]
    return order[_fixed_point(_overlaps(ranked, ranked, over_minimum) > threshold)]


def _fixed_point(overlap: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(..., n, n) overlaps of boxes, best first, to (..., n) whether a box is kept.

    A kept box i removes every worse box j that it overlaps. Greedy suppression is the only fixed
    point of keep[j] = not any(keep[i] and overlap[i, j], i < j). Iteration reaches it from the best
    box down, in as many rounds as the longest chain of suppressions.
    """
    suppresses = np.triu(overlap, 1)
    keep = np.ones(overlap.shape[:-1], np.bool_)
    while True:
        again = np.logical_not((suppresses & keep[..., None]).any(axis=-2))
        if np.array_equal(again, keep):
            return keep
        keep = again


def _nms_greedy(
    boxes: Array, order: NDArray[np.intp], threshold: float, over_minimum: bool
) -> NDArray[np.intp]:
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        overlap = _overlaps(boxes[best : best + 1], boxes[rest], over_minimum)[0]
        order = rest[overlap <= threshold]
    return np.asarray(kept, np.intp)


def _overlaps(a: Array, b: Array, over_minimum: bool) -> Array:
    """(..., n, 4) and (..., m, 4) boxes to (..., n, m)."""
    x1, y1, x2, y2 = (a[..., :, None, side] for side in range(4))
    left, top, right, bottom = (b[..., None, :, side] for side in range(4))
    width = np.minimum(x2, right)
    width -= np.maximum(x1, left)
    height = np.minimum(y2, bottom)
    height -= np.maximum(y1, top)
    inner = np.maximum(width, 0, out=width)
    inner *= np.maximum(height, 0, out=height)
    area_a, area_b = _areas(a)[..., :, None], _areas(b)[..., None, :]
    base = np.minimum(area_a, area_b) if over_minimum else area_a + area_b - inner
    return np.asarray(inner / np.maximum(base, 1e-9), np.float32)


def _areas(boxes: Array) -> Array:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image was fitted into a canvas: scaled, then shifted by (left, top) pixels.

    Attributes:
        width, height: of the scaled image inside the canvas, in pixels.
    """

    scale: float
    left: float
    top: float
    width: int
    height: int

    def undo(self, points: Array) -> Array:
        """(..., 2) canvas pixels to image pixels."""
        shift = np.asarray((self.left, self.top), np.float32)
        return np.asarray((points - shift) / np.float32(self.scale), np.float32)

    def undo_boxes(self, boxes: Array) -> Array:
        """(n, 4) xyxy canvas pixels to image pixels."""
        return self.undo(boxes.reshape(-1, 2, 2)).reshape(-1, 4)


def letterbox(
    image_size: tuple[int, int], canvas_size: tuple[int, int], *, margin: float = 0.0
) -> Letterbox:
    """Fit (width, height) into the middle of a (width, height) canvas, with its aspect ratio.

    Args:
        margin: share of the canvas left free on every side, so that a face that fills its
            photograph has background around it.
    """
    width, height = image_size
    room_x, room_y = canvas_size[0] * (1 - 2 * margin), canvas_size[1] * (1 - 2 * margin)
    scale = min(room_x / width, room_y / height)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (canvas_size[0] - inner_w) // 2, (canvas_size[1] - inner_h) // 2
    return Letterbox(scale, float(left), float(top), inner_w, inner_h)
