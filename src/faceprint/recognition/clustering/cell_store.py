"""Cells of faces, filled block by block: in memory, or on disk if the vectors are a mapped file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.approximate_knn import (
    FAN_OUT,
    SAMPLE,
    choose_pivots,
    group_by_pivot,
    pivot_counts,
)
from faceprint.recognition.clustering.int8_neighbors import Codes, Ints, encode
from faceprint.recognition.clustering.tasks import in_threads
from faceprint.types import Array

__all__ = ["Cells", "assign_cells"]

_BLOCK = 1 << 13

_Blocks = Iterator[tuple[int, Codes, NDArray[np.int32]]]
"""First face, codes, and the nearest pivots of each."""


class Cells(Protocol):
    """Iterates over cells, as the faces in each and their codes; once only."""

    @property
    def subcells(self) -> int:
        """The number of subcells in each cell."""

    def __iter__(self) -> Iterator[tuple[Ints, Codes]]: ...


@contextmanager
def assign_cells(vectors: Array, scale: float, threads: int) -> Iterator[Cells]:
    """Assign (n, d) unit rows to cells, which exist until the context ends.

    Args:
        scale: of the codes.
    """
    n, d = vectors.shape
    counts = pivot_counts(n)
    rng = np.random.default_rng(n)
    chosen = np.sort(rng.choice(n, min(n, counts[0] * SAMPLE), replace=False))
    pivots = choose_pivots(encode(vectors[rng.permutation(chosen)], scale), counts[0])

    def assign(start: int) -> tuple[Codes, NDArray[np.int32]]:
        codes = encode(vectors[start : start + _BLOCK], scale)
        return codes, pivots.nearest(codes, FAN_OUT[0])

    def blocks() -> _Blocks:
        tasks = ((start, (start,)) for start in range(0, n, _BLOCK))
        for start, (codes, near) in in_threads(threads)(assign, tasks):
            yield start, codes, near

    if isinstance(vectors, np.memmap) and vectors.filename is not None:
        with tempfile.TemporaryDirectory(dir=Path(vectors.filename).parent) as folder:
            yield _OnDisk(Path(folder), counts, d, blocks())
    else:
        yield _InMemory((n, d), counts, blocks())


class _InMemory:
    def __init__(self, shape: tuple[int, int], counts: tuple[int, int], blocks: _Blocks) -> None:
        self.subcells = counts[1]
        self._codes = np.empty(shape, np.int8)
        nearest = []
        for start, codes, near in blocks:
            self._codes[start : start + len(codes)] = codes
            nearest.append(near)
        self._members = group_by_pivot(np.concatenate(nearest), counts[0])

    def __iter__(self) -> Iterator[tuple[Ints, Codes]]:
        for members in self._members:
            yield members, self._codes[members]


class _OnDisk:
    """One file per cell; reading a cell removes its file."""

    def __init__(self, folder: Path, counts: tuple[int, int], d: int, blocks: _Blocks) -> None:
        self._count, self.subcells = counts
        self._folder, self._row = folder, np.dtype([("face", "<i8"), ("code", "i1", (d,))])
        for start, codes, near in blocks:
            for cell, members in enumerate(group_by_pivot(near, self._count)):
                rows = np.empty(len(members), self._row)
                rows["face"], rows["code"] = members + start, codes[members]
                with self._path(cell).open("ab") as file:
                    rows.tofile(file)

    def __iter__(self) -> Iterator[tuple[Ints, Codes]]:
        for cell in range(self._count):
            path = self._path(cell)
            if path.exists():
                rows = np.fromfile(path, self._row)
                path.unlink()
                yield rows["face"].astype(np.int64), np.ascontiguousarray(rows["code"])

    def _path(self, cell: int) -> Path:
        return self._folder / f"{cell:06d}.cell"
