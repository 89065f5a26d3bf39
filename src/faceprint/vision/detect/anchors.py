"""What the single-shot decoders share: outputs found by shape, candidates, anchors, boxes.

Graphs of this family are exported under many output names (`cls_8`, `443`, `output0`), in any order
and with or without a batch axis. The width and the number of rows of an output tell what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import CardError, NotFiniteError
from faceprint.types import Array, Detections

__all__ = [
    "Anchors",
    "Candidates",
    "boxes_around",
    "locate",
    "landmarks_at",
    "outputs_of_width",
    "select",
    "to_detections",
]

_NOT_FINITE = (
    "the graph gave NaN or infinity: damaged weights, or a precision that its runtime can't hold; "
    "check it with `faceprint models parity`"
)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The m rows at or above the threshold, of all images in a batch.

    Attributes:
        batch: number of images.
        image, row: (m,) index of the image, and of the row in its output.
        scores: (m,) float32.
    """

    batch: int
    image: NDArray[np.intp]
    row: NDArray[np.intp]
    scores: Array

    def rows_of(self, output: Array) -> Array:
        """The candidates' rows of a (batch, rows, k) output: (m, k)."""
        return np.asarray(output[self.image, self.row], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """The anchors of m candidates.

    Attributes:
        corners: (m, 2) top left corner of each anchor's cell, in canvas pixels.
        strides: (m, 1) side of the cell in pixels.
        number: (m,) index among the anchors of its cell.
    """

    corners: Array
    strides: Array
    number: NDArray[np.intp]


def outputs_of_width(outputs: Mapping[str, Array], width: int) -> list[Array]:
    """The outputs with that many values per row, as (batch, rows, width), most rows first."""
    found = [part for part in outputs.values() if part.ndim > 1 and part.shape[-1] == width]
    shaped = [part if part.ndim == 3 else part.reshape(1, -1, width) for part in found]
    return sorted(shaped, key=lambda part: -part.shape[1])


def select(scores: Array, threshold: float) -> Candidates:
    """The candidates among (batch, rows) scores.

    Raises:
        NotFiniteError: a score is NaN or infinite; that must not look like "no face".
    """
    if not np.isfinite(scores).all():
        raise NotFiniteError(_NOT_FINITE)
    image, row = np.nonzero(scores >= threshold)
    clipped = np.minimum(scores[image, row], 1).astype(np.float32)
    return Candidates(len(scores), image, row, clipped)


def locate(
    candidates: Candidates,
    canvas: tuple[int, int],
    strides: Sequence[int],
    *,
    per_cell: int,
    total: int,
) -> Anchors:
    """The anchors of candidates, where rows are numbered by stride, cell row, column, anchor.

    Args:
        canvas: (width, height) in pixels.
        per_cell: number of anchors in each cell.
        total: number of rows in the graph's outputs.

    Raises:
        CardError: the canvas and the strides do not make `total` anchors.
    """
    widths = np.asarray([-(-canvas[0] // stride) for stride in strides])
    heights = np.asarray([-(-canvas[1] // stride) for stride in strides])
    ends = np.cumsum(widths * heights * per_cell)
    if ends[-1] != total:
        raise CardError(
            f"the graph gives {total} candidates, but a canvas of {canvas[0]}x{canvas[1]} with "
            f"strides {tuple(strides)} has {ends[-1]}; the card names the wrong decoder or size"
        )
    level = np.searchsorted(ends, candidates.row, side="right")
    cell, number = np.divmod(candidates.row - np.concatenate([[0], ends])[level], per_cell)
    row, column = np.divmod(cell, widths[level])
    stride = np.asarray(strides, np.float32)[level][:, None]
    corners = np.stack([column.astype(np.float32), row.astype(np.float32)], axis=1) * stride
    return Anchors(corners, stride, number)


def boxes_around(centers: Array, log_sides: Array, unit: Array) -> Array:
    """(m, 4) xyxy boxes with sides of exp(`log_sides`) times `unit`.

    Overflow gives infinity, which `to_detections` refuses.

    Args:
        centers, log_sides: (m, 2); unit: (m, 1) pixels.
    """
    with np.errstate(over="ignore"):
        half = np.asarray(np.exp(log_sides), np.float32) * unit / 2
    return np.concatenate([centers - half, centers + half], axis=1)


def landmarks_at(origins: NDArray[np.floating], offsets: Array, unit: Array) -> Array:
    """(m, 5, 2) landmarks at (m, 10) offsets from (m, 2) origins, in `unit` (m, 1) pixels."""
    return np.asarray(origins[:, None] + offsets.reshape(-1, 5, 2) * unit[:, None])


def to_detections(
    candidates: Candidates, boxes: Array, landmarks: Array | None
) -> list[Detections]:
    """Detections of each image in the batch; empty boxes are dropped.

    Args:
        boxes: (m, 4) xyxy canvas pixels; landmarks: (m, 5, 2) or None.

    Raises:
        NotFiniteError: a coordinate is NaN or infinite.
    """
    if not np.isfinite(boxes).all() or not (landmarks is None or np.isfinite(landmarks).all()):
        raise NotFiniteError(_NOT_FINITE)
    found = Detections(
        boxes.astype(np.float32),
        candidates.scores,
        None if landmarks is None else landmarks.astype(np.float32),
    )
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return [found[solid & (candidates.image == index)] for index in range(candidates.batch)]
