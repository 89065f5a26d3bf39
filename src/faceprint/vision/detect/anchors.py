"""What the single-shot decoders share: finding outputs by shape, and anchors by their index.

The graphs of this family are exported under many names (`cls_8`, `443`, `output0`), in any order
and with or without a batch axis; how wide an output is and how many rows it has say what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import CardError, NotFiniteError
from faceprint.types import Array, Detections

__all__ = ["Cells", "Chosen", "by_width", "cells", "choose", "exp", "gather"]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The candidates above the threshold: image index, row of the output, score; each (m,)."""

    batch: int
    image: NDArray[np.intp]
    row: NDArray[np.intp]
    scores: Array

    def of(self, output: Array) -> Array:
        """The rows of a (batch, rows, k) output that were chosen: (m, k)."""
        return np.asarray(output[self.image, self.row], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Where anchors sit: (m,) column, row and stride of the cell, and the anchor's number in it."""

    column: Array
    row: Array
    stride: Array
    anchor: NDArray[np.intp]

    @property
    def corners(self) -> Array:
        """(m, 2) top left corners in canvas pixels."""
        return np.stack([self.column, self.row], axis=1) * self.stride[:, None]


def by_width(outputs: Mapping[str, Array], width: int) -> list[Array]:
    """The outputs with that many values a row, as (batch, rows, width), most rows first."""
    found = [part for part in outputs.values() if part.ndim > 1 and part.shape[-1] == width]
    shaped = [part if part.ndim == 3 else part.reshape(1, -1, width) for part in found]
    return sorted(shaped, key=lambda part: -part.shape[1])


def choose(scores: Array, threshold: float) -> Chosen:
    """Candidates of (batch, rows) scores that reach the threshold.

    Raises:
        NotFiniteError: a score is NaN or infinite; it must not look like "no face".
    """
    if not np.isfinite(scores).all():
        raise NotFiniteError(_BROKEN)
    image, row = np.nonzero(scores >= threshold)
    return Chosen(len(scores), image, row, np.minimum(scores[image, row], 1).astype(np.float32))


def cells(
    rows: NDArray[np.intp],
    canvas: tuple[int, int],
    strides: Sequence[int],
    anchors: int,
    total: int,
) -> Cells:
    """The cells of anchors numbered by stride, then row by row, then anchor by anchor.

    Args:
        rows: (m,) indices into the `total` anchors of the canvas.
        canvas: (width, height) in pixels.

    Raises:
        CardError: the canvas and the strides do not make `total` anchors.
    """
    widths = np.asarray([-(-canvas[0] // stride) for stride in strides])
    heights = np.asarray([-(-canvas[1] // stride) for stride in strides])
    ends = np.cumsum(widths * heights * anchors)
    if ends[-1] != total:
        raise CardError(
            f"the graph gives {total} candidates where a canvas of {canvas[0]}x{canvas[1]} with "
            f"strides {tuple(strides)} has {ends[-1]}; the card names the wrong decoder or size"
        )
    level = np.searchsorted(ends, rows, side="right")
    cell, anchor = np.divmod(rows - np.concatenate([[0], ends])[level], anchors)
    row, column = np.divmod(cell, widths[level])
    stride = np.asarray(strides, np.float32)[level]
    return Cells(column.astype(np.float32), row.astype(np.float32), stride, anchor)


def exp(values: Array) -> Array:
    """The exponential; overflow is infinity, which `gather` refuses in words of its own."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(values), np.float32)


def gather(chosen: Chosen, boxes: Array, landmarks: Array | None) -> list[Detections]:
    """Detections of each image of the batch; boxes without extent are dropped.

    Args:
        boxes: (m, 4) xyxy canvas pixels; landmarks: (m, 5, 2) or None.

    Raises:
        NotFiniteError: a coordinate is NaN or infinite.
    """
    if not np.isfinite(boxes).all() or not (landmarks is None or np.isfinite(landmarks).all()):
        raise NotFiniteError(_BROKEN)
    found = Detections(
        boxes.astype(np.float32),
        chosen.scores,
        None if landmarks is None else landmarks.astype(np.float32),
    )
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return [found[solid & (chosen.image == index)] for index in range(chosen.batch)]


_BROKEN = (
    "the graph gave NaN or infinity: damaged weights, or a precision that its runtime can't hold; "
    "check it with `faceprint models parity`"
)
