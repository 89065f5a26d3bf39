"""Finds what is probably wrong with labeled photographs: by their crops and embeddings.

Limits are taken from the data, so that they suit any embedder. A photograph is an outlier if none
of its person's others is closer to it than the closest hundredth of strangers. Two people are
probably one if their centers are closer than half of all photographs are to their own center.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Image

__all__ = [
    "Crops",
    "Findings",
    "centers_of",
    "find",
    "near_duplicates",
    "own_center_level",
    "same_people",
]

_FEWEST = 3
"""Photographs of a person for an outlier: of two, either could be the wrong one."""

_STRANGERS = 20_000
"""Random pairs of strangers, for the closest hundredth."""

_ALIKE = 0.99
"""Correlation of two thumbnails above which they are copies of one photograph."""

_THUMBNAIL = 16
_CHUNK = 1024


class Crops(Protocol):
    """Crops by number, such as an array (n, s, s, 3) that may be memory-mapped."""

    def __getitem__(self, i: int, /) -> Image:
        """The crop (s, s, 3) uint8."""
        ...


@dataclass(frozen=True, slots=True)
class Findings:
    """What cleaning found; numbers are indices of photographs or people.

    Attributes:
        duplicates: (kept, other) photographs of one person that are nearly the same.
        outliers: photographs unlike their person's others.
        merges: (a, b, cosine of their centers) people who are probably one.
        stranger_level, own_level: the limits; None if there was too little data for one.
    """

    duplicates: tuple[tuple[int, int], ...] = ()
    outliers: tuple[int, ...] = ()
    merges: tuple[tuple[int, int, float], ...] = ()
    stranger_level: float | None = None
    own_level: float | None = None


def find(vectors: Array, crops: Crops, subjects: NDArray[np.int64], seed: int = 0) -> Findings:
    """Look at all photographs.

    Args:
        vectors: (n, d) unit embeddings; d is 0 where there are none, and only duplicates are found.
        crops: of the n photographs.
        subjects: (n,) people, 0..p-1, each with a photograph.
        seed: of the pairs of strangers.
    """
    duplicates = tuple(near_duplicates(crops, subjects))
    if not vectors.shape[1]:
        return Findings(duplicates)
    strangers = _stranger_level(vectors, subjects, seed)
    centers = centers_of(vectors, subjects)
    own = own_center_level(vectors, subjects)
    outliers = [] if strangers is None else _outliers(vectors, subjects, strangers)
    merges = (
        []
        if own is None
        else [(a, b, cosine) for a, b, cosine in same_people(centers, centers, own) if a < b]
    )
    return Findings(duplicates, tuple(outliers), tuple(merges), strangers, own)


def centers_of(vectors: Array, subjects: NDArray[np.int64]) -> Array:
    """(p, d) unit centers of people 0..p-1."""
    sums = np.zeros((int(subjects.max()) + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, subjects, np.asarray(vectors, np.float32))
    return _unit(sums)


def own_center_level(vectors: Array, subjects: NDArray[np.int64]) -> float | None:
    """The median cosine of a photograph with the center of its person's others; None without."""
    counts = np.bincount(subjects)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float32)
    np.add.at(sums, subjects, np.asarray(vectors, np.float32))
    several = counts[subjects] > 1
    if not several.any():
        return None
    rows = np.asarray(vectors[several], np.float32)
    others = _unit(sums[subjects[several]] - rows)
    return float(np.median(np.einsum("nd,nd->n", rows, others)))


def same_people(ours: Array, theirs: Array, level: float) -> Iterator[tuple[int, int, float]]:
    """Yield (i, j, cosine) of centers (p, d) and (q, d) whose cosine reaches the level."""
    for start in range(0, len(ours), _CHUNK):
        cosines = ours[start : start + _CHUNK] @ theirs.T
        for i, j in np.argwhere(cosines >= level):
            yield start + int(i), int(j), float(cosines[i, j])


def near_duplicates(crops: Crops, subjects: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (kept, other) crops of one person whose gray thumbnails correlate almost perfectly."""
    for members in _members(subjects):
        if len(members) < 2:
            continue
        small = _unit(np.stack([_thumbnail(crops[i]) for i in members]))
        alike = small @ small.T >= _ALIKE
        gone: set[int] = set()
        for i in range(len(members)):
            for j in np.flatnonzero(alike[i, i + 1 :]) + i + 1:
                if i not in gone and j not in gone:
                    gone.add(int(j))
                    yield int(members[i]), int(members[j])


def _thumbnail(crop: Image) -> Array:
    side = len(crop) // _THUMBNAIL * _THUMBNAIL
    gray = np.asarray(crop[:side, :side], np.float32).mean(axis=2)
    step = side // _THUMBNAIL
    small = gray.reshape(_THUMBNAIL, step, _THUMBNAIL, step).mean(axis=(1, 3)).ravel()
    return np.asarray(small - small.mean(), np.float32)


def _members(subjects: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    order = np.argsort(subjects, kind="stable")
    ends = np.cumsum(np.bincount(subjects))[:-1]
    yield from np.split(order, ends)


def _stranger_level(vectors: Array, subjects: NDArray[np.int64], seed: int) -> float | None:
    random = np.random.default_rng(seed)
    a, b = random.integers(0, len(subjects), (2, _STRANGERS))
    strange = subjects[a] != subjects[b]
    if strange.sum() < 100:
        return None
    cosines = np.einsum("nd,nd->n", vectors[a[strange]], vectors[b[strange]])
    return float(np.quantile(cosines, 0.99))


def _outliers(vectors: Array, subjects: NDArray[np.int64], level: float) -> list[int]:
    found = []
    for members in _members(subjects):
        if len(members) < _FEWEST:
            continue
        rows = np.asarray(vectors[members], np.float32)
        cosines = rows @ rows.T
        np.fill_diagonal(cosines, -np.inf)
        found += [int(members[i]) for i in np.flatnonzero(cosines.max(axis=1) < level)]
    return sorted(found)


def _unit(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)
