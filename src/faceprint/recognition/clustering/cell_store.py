"""Cells of faces, filled block by block: in memory, or on disk if the vectors are a mapped file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.approximate_knn import (
    FAN_OUT,
    SAMPLE,
    choose_pivots,
    group_by_pivot,
)
from faceprint.recognition.clustering.int8_neighbors import Codes, Ints, encode
from faceprint.recognition.clustering.mapped_rows import folder_of
from faceprint.recognition.clustering.tasks import in_threads
from faceprint.types import Array

__all__ = ["assign_cells"]

_BLOCK = 1 << 13

_Blocks = Iterator[tuple[int, Codes, NDArray[np.int32]]]
"""First face, codes, and the nearest pivots of each."""

_Cells = Iterator[tuple[Ints, Codes]]
"""The faces of each cell and their codes."""


@contextmanager
def assign_cells(vectors: Array, count: int, scale: float, threads: int) -> Iterator[_Cells]:
    """Assign (n, d) unit rows to `count` cells, which exist until the context ends.

    Args:
        scale: of the codes.
    """
    n = len(vectors)
    rng = np.random.default_rng(n)
    chosen = np.sort(rng.choice(n, min(n, count * SAMPLE), replace=False))
    pivots = choose_pivots(encode(vectors[rng.permutation(chosen)], scale), count)

    def assign(start: int) -> tuple[Codes, NDArray[np.int32]]:
        codes = encode(vectors[start : start + _BLOCK], scale)
        return codes, pivots.nearest(codes, FAN_OUT[0])

    def blocks() -> _Blocks:
        tasks = ((start, (start,)) for start in range(0, n, _BLOCK))
        for start, (codes, near) in in_threads(threads)(assign, tasks):
            yield start, codes, near

    parent = folder_of(vectors)
    if parent is None:
        yield _cells_in_memory(vectors.shape, count, blocks())
        return
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield _cells_on_disk(Path(folder), vectors.shape[1], count, blocks())


def _cells_in_memory(shape: tuple[int, ...], count: int, blocks: _Blocks) -> _Cells:
    all_codes, nearest = np.empty(shape, np.int8), []
    for start, codes, near in blocks:
        all_codes[start : start + len(codes)] = codes
        nearest.append(near)
    for members in group_by_pivot(np.concatenate(nearest), count):
        yield members, all_codes[members]


def _cells_on_disk(folder: Path, d: int, count: int, blocks: _Blocks) -> _Cells:
    """One file per cell; reading a cell removes its file."""
    record = np.dtype([("face", "<i8"), ("code", "i1", (d,))])
    paths = [folder / f"{cell:06d}.cell" for cell in range(count)]
    for start, codes, near in blocks:
        for path, members in zip(paths, group_by_pivot(near, count), strict=True):
            rows = np.empty(len(members), record)
            rows["face"], rows["code"] = members + start, codes[members]
            with path.open("ab") as file:
                rows.tofile(file)
    for path in paths:
        rows = np.fromfile(path, record)
        path.unlink()
        yield rows["face"].astype(np.int64), np.ascontiguousarray(rows["code"])
