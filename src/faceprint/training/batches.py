"""Batches of augmented crops, read ahead by threads; each is a function of seed and position."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.training.augment import augment, skip
from faceprint.training.run_file import Augmentation
from faceprint.training.sampling import epoch_order
from faceprint.types import Array

__all__ = ["Batch", "BatchPlan"]

_AHEAD = 4
"""Batches that wait in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops for one forward pass.

    Attributes:
        blob: (m, 3, 112, 112) float32, RGB in -1..1: this process's part, all n without others.
        labels: (n,) int64.
        photographs: (n,) int64 indices into the data.
    """

    blob: Array
    labels: NDArray[np.int64]
    photographs: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """The batches of a run. The rest of an epoch that fills no update is left out.

    Attributes:
        crops: (rows, 112, 112, 3) uint8, memory-mapped.
        rows, subjects: (n,) the photographs' rows and people.
        size: crops per batch.
        accumulation: batches per update.
        by_people: see `epoch_order`.
        part: which part of each batch this process sees, of how many.
    """

    crops: NDArray[np.uint8]
    rows: NDArray[np.int64]
    subjects: NDArray[np.int64]
    size: int
    accumulation: int
    chances: Augmentation
    seed: int
    by_people: bool = True
    workers: int = 2
    part: tuple[int, int] = (0, 1)

    @property
    def updates_per_epoch(self) -> int:
        """Number of updates in an epoch."""
        return len(self.rows) // (self.size * self.accumulation)

    def updates(self, start: int, end: int) -> Iterator[list[Batch]]:
        """Yield the batches of updates start..end-1, counted from the beginning of the run."""
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="crops") as pool:
            plan = self._plan(start, end)
            try:
                for position, chosen in plan:
                    waiting.append(pool.submit(self._batch, position, chosen))
                    if len(waiting) >= _AHEAD + self.accumulation:
                        yield [waiting.popleft().result() for _ in range(self.accumulation)]
                while waiting:
                    yield [waiting.popleft().result() for _ in range(self.accumulation)]
            finally:
                for future in waiting:
                    future.cancel()

    def _plan(self, start: int, end: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield the position and photographs of each batch."""
        each, epoch, order = self.updates_per_epoch, -1, np.zeros(0, np.int64)
        for update in range(start, end):
            if update // each != epoch:
                epoch = update // each
                order = epoch_order(
                    self.subjects, seed=self.seed, epoch=epoch, by_people=self.by_people
                )
            for part in range(self.accumulation):
                place = (update % each * self.accumulation + part) * self.size
                yield update * self.accumulation + part, order[place : place + self.size]

    def _batch(self, position: int, chosen: NDArray[np.int64]) -> Batch:
        random = np.random.default_rng((self.seed, 1, position))
        number, parts = self.part
        each = len(chosen) // parts
        for _ in range(number * each):
            skip(random)
        own = self.rows[chosen[number * each : (number + 1) * each]]
        images = [augment(self.crops[row], self.chances, random) for row in own]
        blob = (np.stack(images).astype(np.float32) - 127.5) / 127.5
        blob = np.ascontiguousarray(blob.transpose(0, 3, 1, 2))
        return Batch(blob, self.subjects[chosen], chosen)
