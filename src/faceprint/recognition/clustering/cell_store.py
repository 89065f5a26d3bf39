"""Cells of the first kind, filled block by block: in memory, or on disk for a mapped file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceprint.recognition.clustering.approximate_knn import (
    FANS,
    SAMPLE,
    choose_leaders,
    leaders_for,
    members_of,
)
from faceprint.recognition.clustering.int8_neighbors import Codes, Floor, Ints, encode
from faceprint.recognition.clustering.tasks import in_threads
from faceprint.types import Array

__all__ = ["Cells", "dealt"]

_BLOCK = 1 << 13

_Blocks = Iterator[tuple[int, Codes, NDArray[np.int32]]]
"""First face, codes, and the leaders of each."""


class Cells(Protocol):
    """Cells one after another, as the faces in each and their codes."""

    @property
    def inner(self) -> int:
        """Into how many smaller ones each is divided."""

    def __iter__(self) -> Iterator[tuple[Ints, Codes]]:
        """May be read once."""
        ...


@contextmanager
def dealt(vectors: Array, floor: Floor, threads: int) -> Iterator[Cells]:
    """Deal faces out to cells, which are there until the context ends."""
    n, d = vectors.shape
    count, inner = leaders_for(n)
    rng = np.random.default_rng(n)
    chosen = np.sort(rng.choice(n, min(n, count * SAMPLE), replace=False))
    leaders = choose_leaders(encode(vectors[rng.permutation(chosen)], floor.scale), count)

    def deal(start: int) -> tuple[Codes, NDArray[np.int32]]:
        codes = encode(vectors[start : start + _BLOCK], floor.scale)
        return codes, leaders.nearest(codes, FANS[0])

    def blocks() -> _Blocks:
        tasks = ((start, (start,)) for start in range(0, n, _BLOCK))
        for start, (codes, near) in in_threads(threads)(deal, tasks):
            yield start, codes, near

    if isinstance(vectors, np.memmap) and vectors.filename is not None:
        with tempfile.TemporaryDirectory(dir=Path(vectors.filename).parent) as folder:
            yield _OnDisk(Path(folder), (count, inner), d, blocks())
    else:
        yield _InMemory((n, d), (count, inner), blocks())


class _InMemory:
    def __init__(self, shape: tuple[int, int], leaders: tuple[int, int], blocks: _Blocks) -> None:
        self.inner = leaders[1]
        self._codes = np.empty(shape, np.int8)
        nearest = []
        for start, codes, near in blocks:
            self._codes[start : start + len(codes)] = codes
            nearest.append(near)
        self._members = members_of(np.concatenate(nearest), leaders[0])

    def __iter__(self) -> Iterator[tuple[Ints, Codes]]:
        for members in self._members:
            yield members, self._codes[members]


class _OnDisk:
    """A file a cell; reading one removes it."""

    def __init__(self, folder: Path, leaders: tuple[int, int], d: int, blocks: _Blocks) -> None:
        self._leaders, self.inner = leaders
        self._folder, self._row = folder, np.dtype([("face", "<i8"), ("code", "i1", (d,))])
        for start, codes, near in blocks:
            for leader, members in enumerate(members_of(near, self._leaders)):
                rows = np.empty(len(members), self._row)
                rows["face"], rows["code"] = members + start, codes[members]
                with self._path(leader).open("ab") as file:
                    rows.tofile(file)

    def __iter__(self) -> Iterator[tuple[Ints, Codes]]:
        for leader in range(self._leaders):
            if not self._path(leader).exists():
                continue
            rows = np.fromfile(self._path(leader), self._row)
            self._path(leader).unlink()
            yield rows["face"].astype(np.int64), np.ascontiguousarray(rows["code"])

    def _path(self, leader: int) -> Path:
        return self._folder / f"{leader:06d}.cell"
