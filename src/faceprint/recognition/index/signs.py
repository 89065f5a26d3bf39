"""Approximate search by signs: a pass over 16 bytes a face, then exact comparison of the best.

A vector is reduced to the signs of its products with random directions. Two vectors at an angle t
differ in a share t / pi of the signs, give or take a binomial error (Charikar, "Similarity
estimation techniques from rounding algorithms", STOC 2002). At a similarity of 0.65 that is 35 of
128 signs, where two people differ in 64, five standard deviations apart: the pass over the first
128 leaves a hundredth of the gallery, the next 128 a fifth of that, all 512 rank what is left, and
the best are compared exactly.

It has no graph to be built: a million vectors are encoded in seconds, in 72 bytes each, and added
and removed as in a list. Each probe reads the whole list, but 120 times less of it than exact
search does. What is missed are mates of a similarity so low that no threshold would let them
through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.index.base import Fetch, Hits, Keys
from faceprint.recognition.index.bits import Words, count_into, directions, packed
from faceprint.recognition.index.rerank import exact_many, exact_one, stored
from faceprint.settings import available_cores
from faceprint.types import Array

__all__ = ["SignIndex", "SignSettings"]

_ROWS = 1 << 18
"""Rows compared at a time: few calls, whose intermediate words still lie in the third level."""
_SHARED = 1 << 17
"""Rows from which a thread of its own is worth it: a tenth of a millisecond's work."""
_GROWTH = 1.25
_OUTGROWN = 8
"""Growth after which the middle of the vectors is taken anew."""
_SAMPLE = 1 << 14
_FINER = 8
"""Times as many rows as are compared exactly are ranked by products before."""


@dataclass(frozen=True, slots=True)
class SignSettings:
    """How much is looked at.

    Attributes:
        bits: signs a vector, a multiple of 64.
        first, second: words of 64 signs that are compared for every vector (3 at most), and then.
        share, least: of vectors that are compared by the second words, whichever is more.
        fewer: as a part of these, the vectors that are compared by all signs.
        rerank: candidates compared exactly, at least.
    """

    bits: int = 512
    first: int = 2
    second: int = 4
    share: float = 0.01
    least: int = 4096
    fewer: float = 0.2
    rerank: int = 32


class SignIndex:
    """Sign bits in memory; float32 vectors stay in the store."""

    approximate = True

    def __init__(
        self,
        dim: int,
        fetch: Fetch,
        settings: SignSettings | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        """`threads`: all cores that may be used when None."""
        self.settings = settings or SignSettings()
        self._fetch, self._dim = fetch, dim
        self._threads = threads or available_cores()
        self._helpers: ThreadPoolExecutor | None = None
        self._directions = directions(dim, self.settings.bits)
        self._middle: Array | None = None
        self._measured = 0
        self._words: Words = np.empty((self.settings.bits // 64, 0), np.uint64)
        self._keys = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory of the signs and keys."""
        return self._words.nbytes + self._keys.nbytes

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
            words = np.empty((len(self._words), count), np.uint64)
            words[:, : self._count] = self._words[:, : self._count]
            keys = np.empty(count, np.int64)
            keys[: self._count] = self._keys[: self._count]
            self._words, self._keys = words, keys

    def centre(self, vectors: Array, count: int) -> None:
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
            self.centre(vectors, len(vectors))
        end = self._count + len(keys)
        if end > len(self._keys):
            self.reserve(max(end, int(len(self._keys) * _GROWTH)))
        self._words[:, self._count : end] = self._signs(vectors).T
        self._keys[self._count : end] = keys
        self._count = end

    def remove(self, keys: Keys) -> None:
        """Close the gaps, keeping the order; what lies behind the end is overwritten with zeros."""
        keep = ~np.isin(self._keys[: self._count], keys)
        left = int(keep.sum())
        self._words[:, :left] = self._words[:, : self._count][:, keep]
        self._keys[:left] = self._keys[: self._count][keep]
        self._words[:, left : self._count] = 0
        self._count = left

    def search(self, probes: Array, k: int) -> Hits:
        """Candidates by their signs, then exact similarities."""
        k = min(k, self._count)
        if k <= 0 or not len(probes):
            return Hits.empty(len(probes), max(k, 0))
        wide = min(max(k, self.settings.rerank), self._count)
        products = self._products(probes)
        if len(probes) == 1:
            rows = self._nearest(products[0], wide, self._threads)
            return exact_one(self._fetch, probes[0], self._keys[rows], k)
        threads = self._threads if self._count >= _SHARED // len(probes) else 1
        shares = np.array_split(products, min(threads, len(probes)))
        found = self._together(lambda share: [self._nearest(row, wide) for row in share], shares)
        keys = self._keys[np.concatenate(found)]
        return exact_many(self._fetch, probes, keys, np.ones(keys.shape, np.bool_), k)

    def vectors(self, keys: Keys) -> Array:
        """Exact vectors, from the store."""
        return stored(self._fetch, keys)

    def save(self, path: Path) -> None:
        """Write the signs, without pickle."""
        middle = np.zeros(0, np.float32) if self._middle is None else self._middle
        with path.open("wb") as file:
            np.savez(
                file,
                words=self._words[:, : self._count],
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
            drawn, measured = held["directions"], int(held["measured"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise GalleryCorruptError(f"{path}: {error}") from error
        count = len(keys)
        fits = (
            (words.dtype, words.shape) == (np.uint64, (len(self._words), count))
            and (keys.dtype, keys.ndim) == (np.int64, 1)
            and (drawn.dtype, drawn.shape) == (np.float32, self._directions.shape)
            and (middle.dtype, middle.shape) in ((np.float32, (self._dim,)), (np.float32, (0,)))
            and bool((np.diff(keys) > 0).all())
        )
        if not fits:
            raise GalleryCorruptError(f"{path}: not the signs of a gallery like this")
        self._words, self._keys, self._count = np.ascontiguousarray(words), keys, count
        self._directions, self._measured = drawn, measured
        self._middle = middle if len(middle) else None

    def _products(self, vectors: Array) -> Array:
        """(n, d) vectors to their (n, bits) products with the directions."""
        middle = np.zeros(self._dim, np.float32) if self._middle is None else self._middle
        products = (vectors - middle) @ self._directions
        return np.asarray(products, np.float32)

    def _signs(self, vectors: Array) -> Words:
        """(n, d) vectors to (n, words)."""
        words = np.empty((len(vectors), len(self._words)), np.uint64)
        for start in range(0, len(vectors), _SAMPLE):
            part = slice(start, start + _SAMPLE)
            words[part] = packed(self._products(vectors[part]))
        return words

    def _together(self, function: Callable[[Any], Any], shares: Sequence[Any]) -> list[Any]:
        """Results in order: the first share is done here, each other on a thread of its own."""
        if self._helpers is None and len(shares) > 1:
            self._helpers = ThreadPoolExecutor(self._threads - 1, "faceprint-signs")
        waiting = [self._helpers.submit(function, s) for s in shares[1:]] if self._helpers else []
        return [function(shares[0]), *(future.result() for future in waiting)]

    def _nearest(self, products: Array, wide: int, threads: int = 1) -> Keys:
        """The `wide` rows nearest to a probe of these (bits,) products, in no order.

        By more and more words what is left of them, and of the best the signs against the products
        themselves, which halves the error.
        """
        signs = packed(products[None])[0]
        rows = self._first_pass(signs, threads)
        best, settings = _FINER * wide, self.settings
        left = max(best, int(settings.fewer * len(rows)))
        for words, count in ((settings.second, left), (len(signs), best)):
            if len(rows) > count:
                differing = np.bitwise_count(
                    self._words[:words].take(rows, 1) ^ signs[:words, None]
                )
                order = np.argpartition(differing.sum(axis=0, dtype=np.uint16), count)
                rows = rows[order[:count]]
        if len(rows) > wide:
            words_of = np.ascontiguousarray(self._words.take(rows, 1).T)
            bits = np.asarray(np.unpackbits(words_of.view(np.uint8), axis=1), np.float32)
            rows = rows[np.argpartition(-(bits @ products), wide - 1)[:wide]]
        return np.asarray(rows, np.int64)

    def _first_pass(self, signs: Words, threads: int) -> Keys:
        """The rows that differ least by the first words: about the share wanted, and equals."""
        count, first = self._count, self.settings.first
        wanted = max(self.settings.least, int(self.settings.share * count))
        if wanted >= count:
            return np.arange(count)
        held = np.ascontiguousarray(self._words[:first, : count : max(1, count // _SAMPLE)])
        sample = np.empty(held.shape[1], np.uint8)
        count_into(sample, held, signs[:first])
        place = min(len(sample) - 1, -(-wanted * len(sample) // count))
        limit = np.partition(sample, place)[place]
        differing = np.empty(count, np.uint8)

        def near(share: range) -> Keys:
            for start in range(share.start, share.stop, _ROWS):
                part = slice(start, min(start + _ROWS, share.stop))
                count_into(differing[part], self._words[:first, part], signs[:first])
            return np.flatnonzero(differing[share.start : share.stop] <= limit) + share.start

        threads = max(1, min(threads, count // _SHARED))
        ends = [count * i // threads for i in range(threads + 1)]
        rows = np.concatenate(self._together(near, [range(a, b) for a, b in pairwise(ends)]))
        if len(rows) < wanted // 2:  # a sample that happens to hold the nearest
            rows = np.flatnonzero(differing <= np.partition(differing, wanted)[wanted])
        return np.asarray(rows, np.int64)
