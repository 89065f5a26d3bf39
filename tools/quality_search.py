"""Degraded strangers in an open-set search: how many are taken for one of the enrolled people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from quality_sample import Job, Sample, in_half

from faceprint.errors import DatasetError

__all__ = ["PoorSearch", "search_jobs", "search_strangers"]


@dataclass(frozen=True, slots=True)
class PoorSearch:
    """What a search said of degraded strangers; shares are means over the draws.

    Attributes:
        strangers: photographs searched in each draw.
        taken: share of them that were taken for somebody; those that decide nothing are not.
        most: the same in the draw with the most.
        undecided: share of them that fell short of the quality limit.
        by_kind: `taken` for each kind of degradation.
        taken_without_limit: `taken` if every photograph decided, enrolled ones too.
    """

    enrolled: int
    draws: int
    strangers: float
    taken: float
    most: float
    undecided: float
    by_kind: dict[str, float]
    taken_without_limit: float


def search_jobs(jobs: list[Job], people: int) -> list[Job]:
    """The photographs that the search needs, of those that `draw` listed.

    One photograph as it is of each person of the choosing half, and every degraded one of the
    reporting half; of `people` people of each half and data set at the most.
    """
    seen: dict[tuple[str, bool], set[str]] = {}
    needed = []
    for job in jobs:
        name, person, _, kind = job
        chosen = in_half(person)
        if chosen != (kind == ""):
            continue
        known = seen.setdefault((name, chosen), set())
        if (person in known and chosen) or (person not in known and len(known) == people):
            continue
        known.add(person)
        needed.append(job)
    return needed


def search_strangers(
    sample: Sample,
    good: NDArray[np.bool_],
    threshold: float,
    *,
    poor_gallery: bool = False,
    enrolled: int = 100,
    strangers: int = 200,
    draws: int = 20,
) -> PoorSearch:
    """Enroll people with one photograph each, search degraded photographs of other people.

    Args:
        sample: of one data set. The degraded photographs are those of its reporting half.
        good: (n,) which faces reach the quality limit; the others are neither enrolled nor decided.
        threshold: at or above it the best candidate is the answer.
        poor_gallery: enroll degraded photographs of the reporting half, of other people than those
            who are searched, instead of photographs as they are of the choosing half.
        strangers: photographs searched in a draw, at the most.

    Raises:
        DatasetError: fewer than `enrolled` people have a photograph that can be enrolled.
    """
    found = [
        _search(sample, good, threshold, poor_gallery, (enrolled, strangers), seed)
        for seed in range(draws)
    ]
    free = [
        _search(sample, np.ones_like(good), threshold, poor_gallery, (enrolled, strangers), seed)
        for seed in range(draws)
    ]
    kinds = np.concatenate([sample.kind[probes] for probes, _ in found])
    hits = np.concatenate([taken for _, taken in found])
    shares = [float(taken.mean()) for _, taken in found]
    return PoorSearch(
        enrolled=enrolled,
        draws=draws,
        strangers=float(np.mean([len(probes) for probes, _ in found])),
        taken=float(np.mean(shares)),
        most=max(shares),
        undecided=float(np.mean([(~good[probes]).mean() for probes, _ in found])),
        by_kind={str(kind): float(hits[kinds == kind].mean()) for kind in np.unique(kinds)},
        taken_without_limit=float(np.mean([taken.mean() for _, taken in free])),
    )


def _search(
    sample: Sample,
    good: NDArray[np.bool_],
    threshold: float,
    poor_gallery: bool,
    sizes: tuple[int, int],
    seed: int,
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """One draw: the photographs that were searched, and which were taken for somebody."""
    rng = np.random.default_rng(seed)
    usable = good & ((~sample.ordinary & ~sample.half) if poor_gallery else sample.ordinary)
    candidates = rng.permutation(np.flatnonzero(usable))
    _, first = np.unique(sample.person[candidates], return_index=True)
    if len(first) < sizes[0]:
        raise DatasetError(f"{len(first)} people can be enrolled, {sizes[0]} are asked for")
    gallery = candidates[rng.permutation(first)[: sizes[0]]]
    others = ~sample.ordinary & ~sample.half & ~np.isin(sample.person, sample.person[gallery])
    probes = rng.permutation(np.flatnonzero(others))[: sizes[1]]
    best = (sample.vectors[probes] @ sample.vectors[gallery].T).max(axis=1)
    return probes, np.asarray((best >= threshold) & good[probes], bool)
