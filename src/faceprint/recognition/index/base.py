"""The interface of every vector index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array

__all__ = ["Fetch", "Hits", "Keys", "VectorIndex", "check_ascending"]

Keys = NDArray[np.int64]

Fetch = Callable[[Keys], tuple[Keys, Array]]
"""(n,) keys to those that still exist, and their (m, d) float32 vectors, in any order."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The nearest vectors of a batch of probes, best first.

    Attributes:
        keys: (p, k) int64; -1 where fewer than k were found.
        similarities: (p, k) float32, exact cosine similarities; -inf where there is no key.
    """

    keys: Keys
    similarities: Array

    def __post_init__(self) -> None:
        if self.keys.shape != self.similarities.shape or self.keys.ndim != 2:
            raise ValueError(f"keys {self.keys.shape}, similarities {self.similarities.shape}")

    @classmethod
    def empty(cls, probes: int, k: int) -> Hits:
        """Nothing found."""
        return cls(np.full((probes, k), -1, np.int64), np.full((probes, k), -np.inf, np.float32))


class VectorIndex(Protocol):
    """Unit vectors under integer keys; the similarities it gives are exact."""

    @property
    def approximate(self) -> bool:
        """Whether a nearest vector can be missed."""

    def __len__(self) -> int:
        """Number of vectors."""

    def add(self, keys: Keys, vectors: Array) -> None:
        """(n,) new keys and their (n, d) float32 unit vectors."""

    def remove(self, keys: Keys) -> None:
        """Remove these keys; unknown ones are ignored."""

    def search(self, probes: Array, k: int) -> Hits:
        """(p, d) unit probes to their k nearest, or all if there are fewer."""

    def vectors(self, keys: Keys) -> Array:
        """(n,) known keys to their (n, d) float32 vectors."""


def check_ascending(known: Keys, keys: Keys) -> None:
    """Raise ValueError unless the keys ascend, beyond the last known one."""
    if (np.diff(keys) <= 0).any() or (len(known) and keys[0] <= known[-1]):
        raise ValueError("keys must ascend")
