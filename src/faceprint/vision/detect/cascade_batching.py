"""Run MTCNN's networks in blocks that fit into a core's cache, several at once on threads.

The three networks have few channels, so their time goes into moving activations, not into
arithmetic. A call whose activations exceed the second-level cache takes longer per pixel: a little
on an idle machine, several times as long on a busy one (docs/performance.md). The cascade hands
over all crops of a stage at once, and the blocks are cut here. An accelerator has no such cache and
takes long to start a call, so its blocks are larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise, product
from typing import TypeVar

import cv2
import numpy as np

from faceprint.errors import NotFiniteError
from faceprint.runtime.session import Session
from faceprint.types import Array, Image

__all__ = ["CELL", "STRIDE", "BlockRunner", "proposal_grid"]

Tile = tuple[slice, slice, slice]
"""Images, rows and columns of P-Net's output."""

Job = TypeVar("Job")
Result = TypeVar("Result")

_CACHED_PIXELS = 24_000
"""Input pixels per call: P-Net's widest activation is then 1 MB."""

_TILE_CELLS = 100
"""Output cells along a tile's side: 210 input pixels, of which neighbors share 10. A cell takes as
long in tiles of 70 or 140, but smaller tiles share more pixels and larger ones exceed the cache."""

_FEW = 20_000
"""Size of the images below which NumPy alone reorders them faster."""

CELL, STRIDE = 12, 2
"""P-Net's window and step in pixels."""


def proposal_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of P-Net's output: 3 x 3, pooling by 2 rounded up, 3 x 3, 3 x 3."""
    return (height - 1) // 2 - 4, (width - 1) // 2 - 4


class BlockRunner:
    """Runs sessions block by block.

    Args:
        threads: blocks that run at once; above 1 the sessions should have one thread each.
        enlarged: how many times larger the blocks are than a core's cache takes.
    """

    def __init__(self, threads: int = 1, *, enlarged: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, "faceprint-blocks") if threads > 1 else None
        self._enlarged = enlarged

    def crops(self, session: Session, crops: Image | Array, rows: int) -> tuple[Array, ...]:
        """The outputs of a network for (n, s, s, 3) crops, pixels of 0 to 255.

        Args:
            rows: crops per call that a core's cache takes.
        """
        rows *= self._enlarged
        parts = [slice(start, start + rows) for start in range(0, len(crops), rows)]
        outputs = list(self._map(lambda part: _finite(session.run(_blob(crops[part]))), parts))
        return tuple(np.concatenate(pieces) for pieces in zip(*outputs, strict=True))

    def proposals(
        self, session: Session, levels: Iterable[Image | Array]
    ) -> list[tuple[Array, Array]]:
        """Run P-Net on the levels of a pyramid, (n, h, w, 3) images each.

        With threads, a level's blocks run while the next level is being made.

        Returns:
            For each level (n, rows, columns) face probability and (n, 4, rows, columns) offsets.
        """
        maps: list[tuple[Array, Array]] = []
        pending: list[Future[None]] = []
        for images in levels:
            count, height, width = images.shape[:3]
            grid = proposal_grid(height, width)
            found = np.empty((count, *grid), np.float32), np.empty((count, 4, *grid), np.float32)
            maps.append(found)
            for tile in _tiles(count, height, width, self._enlarged):
                if self._pool is None:
                    _propose(session, images, tile, found)
                else:
                    pending.append(self._pool.submit(_propose, session, images, tile, found))
        for block in pending:
            block.result()
        return maps

    def _map(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        return map(work, jobs) if self._pool is None else self._pool.map(work, jobs)


def _propose(
    session: Session, images: Image | Array, tile: Tile, found: tuple[Array, Array]
) -> None:
    """Run P-Net on the pixels of one tile and write its outputs into the tile of `found`."""
    which, down, across = tile
    (rows, columns), (height, width) = found[0].shape[1:], images.shape[1:3]
    window = images[which, _pixels(down, height, rows), _pixels(across, width, columns)]
    outputs = _finite(session.run(_blob(window)))
    found[0][which, down, across], found[1][which, :, down, across] = outputs


def _finite(outputs: tuple[Array, ...]) -> tuple[Array, ...]:
    """The outputs, if all are finite; NaN must not look like "no face"."""
    # The sum is finite if all numbers are, and is faster to check.
    for output in outputs:
        if not math.isfinite(output.sum()):
            raise NotFiniteError("a network of the detector gave NaN or infinity")
    return outputs


def _tiles(count: int, height: int, width: int, enlarged: int) -> Iterator[Tile]:
    """Yield the parts of P-Net's output that one call computes."""
    rows, columns = proposal_grid(height, width)
    most = _CACHED_PIXELS * enlarged
    if height * width <= most:
        together = max(1, most // (height * width))
        for start in range(0, count, together):
            yield slice(start, min(count, start + together)), slice(0, rows), slice(0, columns)
        return
    cells = _TILE_CELLS * math.isqrt(enlarged)
    parts = list(product(_parts(rows, cells), _parts(columns, cells)))
    for index in range(count):
        for down, across in parts:
            yield slice(index, index + 1), down, across


def _parts(cells: int, most: int) -> list[slice]:
    edges = np.linspace(0, cells, -(-cells // most) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def _pixels(cells: slice, side: int, total: int) -> slice:
    """Input pixels of a range of output cells; the last range gets all remaining pixels."""
    start = cells.start * STRIDE
    return slice(start, side if cells.stop == total else (cells.stop - 1) * STRIDE + CELL)


def _blob(images: Image | Array) -> Array:
    """(n, h, w, 3) to (n, 3, h, w) float32; MTCNN's graphs normalize it themselves."""
    count, height, width = images.shape[:3]
    blob = np.empty((count, 3, height, width), np.float32)
    if images.size < _FEW:
        blob[...] = images.transpose(0, 3, 1, 2)
        return blob
    # Channels of one tall image: the conversion then runs over contiguous numbers.
    tall = np.ascontiguousarray(images).reshape(-1, width, 3)
    for channel in range(3):
        blob[:, channel] = cv2.extractChannel(tall, channel).reshape(count, height, width)
    return blob
