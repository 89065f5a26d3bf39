"""Approximate search by sign bits (LSH), then an exact comparison of the best candidates.

A vector is reduced to the signs of its products with 512 random directions. Two vectors at an angle
t differ in a share t / pi of the signs, with a binomial error (Charikar, "Similarity estimation
techniques from rounding algorithms", STOC 2002): in a third of them at a similarity of 0.5.

The probe's products say more. Where a product is large, a mated vector is likely to have the same
sign: in the 24 largest, a mated vector at 0.5 differs in 2.2 signs (standard deviation 1.4), a
non-mated one in 12 (2.4). The bits are therefore stored as planes, one per direction, and each
probe reads the 24 planes with its largest products. About a five-hundredth of the gallery remains.
It is ranked by all bits, which are also stored side by side for each vector.

There is no graph to build: a million vectors are encoded in seconds, in 136 bytes each, and added
and removed as in a list. Each probe passes over the whole list, but reads 680 times fewer bytes
than exact search.

It runs in one thread. The pass is about a hundred NumPy calls of a few microseconds each, between
which threads would wait longer for the interpreter's lock than they work (docs/decisions/0008).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.index.base import Fetch, Hits, Keys, check_ascending
from faceprint.recognition.index.bit_planes import (
    WORD,
    BitPlanes,
    Words,
    count_differing,
    draw_directions,
    pack_signs,
)
from faceprint.recognition.index.rerank import exact_many, exact_one, stored
from faceprint.types import Array

__all__ = ["BinaryLshIndex", "LshSettings"]

_GROWTH = 1.25
_OUTGROWN = 8
"""Growth after which the center is computed again."""
_ENCODED = 1 << 14
_BEHIND = 4.5
"""A candidate this many standard deviations behind the k-th best estimate is dropped."""
_FINER = 8
"""So many times the rows that are compared exactly are first ranked by products."""


@dataclass(frozen=True, slots=True)
class LshSettings:
    """How many bits and candidates a search looks at.

    Attributes:
        bits: per vector, a multiple of 64.
        planes: bits of every vector that a probe is compared with first.
        share, least: vectors that are ranked by all bits: this share, and at least so many.
        rerank: the most candidates that are compared exactly (or k, if that is more).
    """

    bits: int = 512
    planes: int = 24
    share: float = 0.002
    least: int = 2048
    rerank: int = 32


class BinaryLshIndex:
    """Sign bits in memory; the float32 vectors stay in the store."""

    approximate = True

    def __init__(self, dim: int, fetch: Fetch, settings: LshSettings | None = None) -> None:
        self.settings = settings or LshSettings()
        self._fetch, self._dim = fetch, dim
        self._directions = draw_directions(dim, self.settings.bits)
        self._center: Array | None = None
        self._measured = 0
        self._words: Words = np.empty((0, self.settings.bits // WORD), np.uint64)
        self._planes = BitPlanes(self.settings.bits, self.settings.planes)
        self._keys = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory of the bits and keys."""
        return self._words.nbytes + self._planes.nbytes + self._keys.nbytes

    @property
    def outgrown(self) -> bool:
        """Whether the center was computed from too few vectors for today's size."""
        return self._count > _OUTGROWN * max(self._measured, self.settings.least)

    def keys(self) -> Keys:
        """(n,) keys, ascending."""
        return self._keys[: self._count]

    def reserve(self, count: int) -> None:
        """Allocate memory for that many vectors, so that adding them copies nothing."""
        if count > len(self._keys):
            words = np.empty((count, self._words.shape[1]), np.uint64)
            words[: self._count] = self._words[: self._count]
            keys = np.empty(count, np.int64)
            keys[: self._count] = self._keys[: self._count]
            self._words, self._keys = words, keys
            self._planes.reserve(count)

    def center(self, vectors: Array, count: int) -> None:
        """Take signs relative to the mean of (n, d) vectors, a sample of the `count` to be added.

        Without this call, the first vectors added are the sample. Embeddings of some models lie in
        a narrow cone, and relative to the origin all their signs would be the same.
        """
        if self._count:
            raise ValueError("an index with vectors can't be centered again")
        self._center = np.asarray(vectors.mean(axis=0), np.float32)
        self._measured = count

    def add(self, keys: Keys, vectors: Array) -> None:
        """Append vectors; keys must ascend, as those of the stores do."""
        if not len(keys):
            return
        check_ascending(self._keys[: self._count], keys)
        if self._center is None:
            self.center(vectors, len(vectors))
        end = self._count + len(keys)
        if end > len(self._keys):
            self.reserve(max(end, int(len(self._keys) * _GROWTH)))
        self._words[self._count : end] = self._signs(vectors)
        self._keys[self._count : end] = keys
        self._planes.write(self._words[:end], self._count)
        self._count = end

    def remove(self, keys: Keys) -> None:
        """Close the gaps, keeping the order, and overwrite what is left at the end with zeros."""
        keep = ~np.isin(self._keys[: self._count], keys)
        left = int(keep.sum())
        if left < self._count:
            self._words[:left] = self._words[: self._count][keep]
            self._keys[:left] = self._keys[: self._count][keep]
            self._words[left : self._count] = 0
            self._planes.write(self._words[:left], int(keep.argmin()))
            self._planes.clear(left, self._count)
            self._count = left

    def search(self, probes: Array, k: int) -> Hits:
        """Candidates by their sign bits, then exact similarities."""
        k = min(k, self._count)
        if k <= 0 or not len(probes):
            return Hits.empty(len(probes), max(k, 0))
        near = [self._nearest(products, k) for products in self._products(probes)]
        if len(near) == 1:
            return exact_one(self._fetch, probes[0], self._keys[near[0]], k)
        keys = np.full((len(near), max(map(len, near))), -1, np.int64)
        for row, rows in zip(keys, near, strict=True):
            row[: len(rows)] = self._keys[rows]
        return exact_many(self._fetch, probes, keys, keys >= 0, k)

    def vectors(self, keys: Keys) -> Array:
        """Exact vectors, from the store."""
        return stored(self._fetch, keys)

    def save(self, path: Path) -> None:
        """Write the bits, without pickle."""
        center = np.zeros(0, np.float32) if self._center is None else self._center
        with path.open("wb") as file:
            np.savez(
                file,
                words=self._words[: self._count],
                planes=self._planes.words[:, : -(-self._count // WORD)],
                keys=self._keys[: self._count],
                directions=self._directions,
                middle=center,
                measured=np.int64(self._measured),
            )

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            GalleryCorruptError: it does not fit.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                held = {name: file[name] for name in file.files}
            words, keys, center = held["words"], held["keys"], held["middle"]
            planes = held["planes"]
            drawn, measured = held["directions"], int(held["measured"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise GalleryCorruptError(f"{path}: {error}") from error
        count = len(keys)
        fits = (
            (words.dtype, words.shape) == (np.uint64, (count, self._words.shape[1]))
            and (planes.dtype, planes.shape) == (np.uint64, (self.settings.bits, -(-count // WORD)))
            and (keys.dtype, keys.ndim) == (np.int64, 1)
            and (drawn.dtype, drawn.shape) == (np.float32, self._directions.shape)
            and (center.dtype, center.shape) in ((np.float32, (self._dim,)), (np.float32, (0,)))
            and bool((np.diff(keys) > 0).all())
        )
        if not fits:
            raise GalleryCorruptError(f"{path}: not an index of this gallery")
        self._words, self._keys, self._count = np.ascontiguousarray(words), keys, count
        self._planes.load(planes)
        self._directions, self._measured = drawn, measured
        self._center = center if len(center) else None

    def _products(self, vectors: Array) -> Array:
        """(n, d) vectors to their (n, bits) products with the directions."""
        center = np.zeros(self._dim, np.float32) if self._center is None else self._center
        products = (vectors - center) @ self._directions
        return np.asarray(products, np.float32)

    def _signs(self, vectors: Array) -> Words:
        """(n, d) vectors to (n, words)."""
        words = np.empty((len(vectors), self._words.shape[1]), np.uint64)
        for start in range(0, len(vectors), _ENCODED):
            part = slice(start, start + _ENCODED)
            words[part] = pack_signs(self._products(vectors[part]))
        return words

    def _nearest(self, products: Array, k: int) -> Keys:
        """The rows that may be among the k nearest to a probe with these (bits,) products.

        Rows that the planes leave are ranked by all bits, and the best of them by the bits weighted
        with the products, which halves the error.
        """
        wide = max(k, self.settings.rerank)
        signs, best = pack_signs(products[None])[0], _FINER * wide
        wanted = max(self.settings.least, int(self.settings.share * self._count))
        if wanted >= self._count:
            rows = np.arange(self._count)
        else:
            rows = self._planes.near(products, self._count, wanted / self._count)
        if len(rows) > best:
            away = count_differing(self._words.take(rows, 0), signs)
            rows = rows[np.argpartition(away, best - 1)[:best]]
        if len(rows) <= k:
            return rows
        bits = np.unpackbits(self._words.take(rows, 0).view(np.uint8), axis=1)
        likely = np.asarray(bits, np.float32) @ products
        order = np.argsort(-likely)[:wide]
        # A bit adds its product or nothing. The standard deviation of an estimate is therefore at
        # most half the norm of the products, and that of a difference of two this much.
        apart = np.sqrt(0.5) * np.linalg.norm(products)
        within = likely[order] >= likely[order[k - 1]] - _BEHIND * apart
        return np.asarray(rows[order[within]], np.int64)
