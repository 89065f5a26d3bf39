"""Approximate search by signs: a pass over 3 bytes a face, then exact comparison of the best.

A vector is reduced to the signs of its products with 512 random directions. Two vectors at an angle
t differ in a share t / pi of the signs, give or take a binomial error (Charikar, "Similarity
estimation techniques from rounding algorithms", STOC 2002): a third at a similarity of 0.5.

But a probe knows its products, and where one is large, its mate's has the same sign: of the 24
largest, a mate at 0.5 differs in 2.2, give or take 1.4, and a stranger in 12, give or take 2.4. So
the signs lie in planes, one for each direction, and each probe reads the 24 that it is surest of.
What is left, some five-hundredth of the gallery, is ranked by all signs, which lie a second time,
side by side for each vector.

It has no graph to be built: a million vectors are encoded in seconds, in 136 bytes each, and added
and removed as in a list. Each probe looks at the whole list, but reads 680 times less of it than
exact search does.

One thread does it: the pass is some hundred calls of NumPy of some microseconds, between which
threads would wait for the interpreter's lock longer than they work (docs/decisions/0008).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.index.base import Fetch, Hits, Keys
from faceprint.recognition.index.bit_planes import BitPlanes
from faceprint.recognition.index.bits import WORD, Words, differing, directions, packed
from faceprint.recognition.index.rerank import exact_many, exact_one, stored
from faceprint.types import Array

__all__ = ["BinaryLshIndex", "LshSettings"]

_GROWTH = 1.25
_OUTGROWN = 8
"""Growth after which the middle of the vectors is taken anew."""
_ENCODED = 1 << 14
_BEHIND = 4.5
"""Standard deviations of an estimate behind the k-th best at which none of the k is looked for."""
_FINER = 8
"""Times as many rows as are compared exactly are ranked by products before."""


@dataclass(frozen=True, slots=True)
class LshSettings:
    """How much is looked at.

    Attributes:
        bits: signs a vector, a multiple of 64.
        planes: of them, those that a probe compares with every vector.
        share, least: of vectors that are ranked by all signs, whichever is more.
        rerank: candidates compared exactly, at most (as many as are asked for, if that is more).
    """

    bits: int = 512
    planes: int = 24
    share: float = 0.002
    least: int = 2048
    rerank: int = 32


class BinaryLshIndex:
    """Sign bits in memory; float32 vectors stay in the store."""

    approximate = True

    def __init__(self, dim: int, fetch: Fetch, settings: LshSettings | None = None) -> None:
        self.settings = settings or LshSettings()
        self._fetch, self._dim = fetch, dim
        self._directions = directions(dim, self.settings.bits)
        self._middle: Array | None = None
        self._measured = 0
        self._words: Words = np.empty((0, self.settings.bits // WORD), np.uint64)
        self._planes = BitPlanes(self.settings.bits, self.settings.planes)
        self._keys = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory of the signs and keys."""
        return self._words.nbytes + self._planes.nbytes + self._keys.nbytes

    @property
    def outgrown(self) -> bool:
        """Whether the middle that signs are taken from is that of too few vectors by now."""
        return self._count > _OUTGROWN * max(self._measured, self.settings.least)

    def keys(self) -> Keys:
        """(n,) the keys it holds, growing."""
        return self._keys[: self._count]

    def reserve(self, count: int) -> None:
        """Make room for that many vectors, so that filling up copies nothing."""
        if count > len(self._keys):
            words = np.empty((count, self._words.shape[1]), np.uint64)
            words[: self._count] = self._words[: self._count]
            keys = np.empty(count, np.int64)
            keys[: self._count] = self._keys[: self._count]
            self._words, self._keys = words, keys
            self._planes.reserve(count)

    def center(self, vectors: Array, count: int) -> None:
        """Take signs about the middle of (n, d) vectors drawn from the `count` that will come.

        Without it the first vectors added decide. Embeddings of some models lie in a narrow cone,
        whose signs about the origin are all alike.
        """
        if self._count:
            raise ValueError("the middle of signs that are there can't be moved")
        self._middle = np.asarray(vectors.mean(axis=0), np.float32)
        self._measured = count

    def add(self, keys: Keys, vectors: Array) -> None:
        """Append; keys must grow, as the stores give them."""
        if not len(keys):
            return
        if (np.diff(keys) <= 0).any() or (self._count and keys[0] <= self._keys[self._count - 1]):
            raise ValueError("keys must grow")
        if self._middle is None:
            self.center(vectors, len(vectors))
        end = self._count + len(keys)
        if end > len(self._keys):
            self.reserve(max(end, int(len(self._keys) * _GROWTH)))
        self._words[self._count : end] = self._signs(vectors)
        self._keys[self._count : end] = keys
        self._planes.write(self._words[:end], self._count)
        self._count = end

    def remove(self, keys: Keys) -> None:
        """Close the gaps, keeping the order; what lies behind the end is overwritten with zeros."""
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
        """Candidates by their signs, then exact similarities."""
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
        """Write the signs, without pickle."""
        middle = np.zeros(0, np.float32) if self._middle is None else self._middle
        with path.open("wb") as file:
            np.savez(
                file,
                words=self._words[: self._count],
                planes=self._planes.words[:, : -(-self._count // WORD)],
                keys=self._keys[: self._count],
                directions=self._directions,
                middle=middle,
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
            words, keys, middle = held["words"], held["keys"], held["middle"]
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
            and (middle.dtype, middle.shape) in ((np.float32, (self._dim,)), (np.float32, (0,)))
            and bool((np.diff(keys) > 0).all())
        )
        if not fits:
            raise GalleryCorruptError(f"{path}: not the signs of a gallery like this")
        self._words, self._keys, self._count = np.ascontiguousarray(words), keys, count
        self._planes.load(planes)
        self._directions, self._measured = drawn, measured
        self._middle = middle if len(middle) else None

    def _products(self, vectors: Array) -> Array:
        """(n, d) vectors to their (n, bits) products with the directions."""
        middle = np.zeros(self._dim, np.float32) if self._middle is None else self._middle
        products = (vectors - middle) @ self._directions
        return np.asarray(products, np.float32)

    def _signs(self, vectors: Array) -> Words:
        """(n, d) vectors to (n, words)."""
        words = np.empty((len(vectors), self._words.shape[1]), np.uint64)
        for start in range(0, len(vectors), _ENCODED):
            part = slice(start, start + _ENCODED)
            words[part] = packed(self._products(vectors[part]))
        return words

    def _nearest(self, products: Array, k: int) -> Keys:
        """The rows that may be among the k nearest to a probe of these (bits,) products.

        By all signs of those that the probe's planes leave, and of the best of these the signs
        against the products themselves, which halves the error.
        """
        wide = max(k, self.settings.rerank)
        signs, best = packed(products[None])[0], _FINER * wide
        wanted = max(self.settings.least, int(self.settings.share * self._count))
        if wanted >= self._count:
            rows = np.arange(self._count)
        else:
            rows = self._planes.near(products, self._count, wanted / self._count)
        if len(rows) > best:
            away = differing(self._words.take(rows, 0), signs)
            rows = rows[np.argpartition(away, best - 1)[:best]]
        if len(rows) <= k:
            return rows
        bits = np.unpackbits(self._words.take(rows, 0).view(np.uint8), axis=1)
        likely = np.asarray(bits, np.float32) @ products
        order = np.argsort(-likely)[:wide]
        # A sign adds its product or nothing, so that an estimate is off by half the length of all
        # products at most, in standard deviations, and two of them by this much from each other.
        apart = np.sqrt(0.5) * np.linalg.norm(products)
        within = likely[order] >= likely[order[k - 1]] - _BEHIND * apart
        return np.asarray(rows[order[within]], np.int64)
