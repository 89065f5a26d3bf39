"""The order of an epoch: a function of seed and epoch alone, so that runs resume exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import UsageError

__all__ = ["epoch_order"]


def epoch_order(
    subjects: NDArray[np.int64], *, seed: int, epoch: int, by_people: bool
) -> NDArray[np.int64]:
    """The photographs of an epoch, in order; as many as there are.

    By people, everybody is drawn once before anybody is drawn again, and a person's photographs
    follow each other in random order before one is repeated. Otherwise, every photograph is drawn
    once.

    Args:
        subjects: (n,) people, 0..p-1, each with a photograph.

    Returns:
        (n,) indices of photographs.

    Raises:
        UsageError: no photograph.
    """
    count = len(subjects)
    if not count:
        raise UsageError("there is no photograph to train on")
    random = np.random.default_rng((seed, epoch))
    if not by_people:
        return random.permutation(count)
    people = int(subjects.max()) + 1
    rounds = -(-count // people)
    who = np.concatenate([random.permutation(people) for _ in range(rounds)])[:count]
    shuffled = random.permutation(count)
    grouped = shuffled[np.argsort(subjects[shuffled], kind="stable")]
    sizes = np.bincount(subjects, minlength=people)
    starts = np.cumsum(sizes) - sizes
    turn = np.repeat(np.arange(rounds), people)[:count]
    return np.asarray(grouped[starts[who] + turn % sizes[who]], np.int64)
