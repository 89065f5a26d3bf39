"""Identification, 1:N and open set: the subjects most similar to a probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from faceprint.recognition.index.base import Keys, VectorIndex
from faceprint.types import Array

__all__ = ["Candidate", "Owners", "search_subjects"]

_FIRST = 16
_MOST_APPROXIMATE = 1024


class Owners(Protocol):
    """The subject of each template."""

    def of(self, templates: Keys) -> Keys:
        """(n,) template keys to (n,) subject keys, -1 for deleted ones."""

    def members(self, subjects: Keys) -> list[Keys]:
        """The template keys of each subject."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject, its most similar template, and the fused similarity."""

    subject: int
    template: int
    similarity: float


def search_subjects(
    index: VectorIndex,
    owners: Owners,
    probes: Array,
    top: int,
    fusion: Literal["max", "mean"],
) -> list[list[Candidate]]:
    """The `top` subjects of each probe by fused similarity, best first.

    Templates are fetched in growing numbers until the result can't change (Fagin, Lotem and Naor,
    "Optimal aggregation algorithms for middleware", 2003): a subject with no template among those
    seen has no similarity, and so no mean, above the last one seen. An approximate index is asked
    for 1024 templates at most.

    Args:
        probes: (p, d) unit rows.
    """
    total = len(index)
    most = min(total, _MOST_APPROXIMATE) if index.approximate else total
    answers: list[list[Candidate]] = [[] for _ in range(len(probes))]
    waiting = np.arange(len(probes))
    k = min(most, max(_FIRST, 4 * top))
    while len(waiting) and k > 0:
        hits = index.search(probes[waiting], k)
        left = []
        for row, probe in enumerate(waiting):
            found = hits.keys[row] >= 0
            keys, scores = hits.keys[row][found], hits.similarities[row][found]
            fused, bound = _fuse(index, owners, probes[probe], (keys, scores), fusion)
            answers[probe] = fused[:top]
            settled = len(fused) >= top and fused[top - 1].similarity >= bound
            if not settled and k < most and found.all():
                left.append(probe)
        waiting = np.asarray(left, np.intp)
        k = min(most, 4 * k)
    return answers


def _fuse(
    index: VectorIndex,
    owners: Owners,
    probe: Array,
    found: tuple[Keys, Array],
    fusion: Literal["max", "mean"],
) -> tuple[list[Candidate], float]:
    """Candidates by fused similarity, and the upper bound for an unseen subject."""
    keys, scores = found
    best: dict[int, Candidate] = {}
    similarities = np.clip(scores, -1, 1).tolist()
    for subject, key, similarity in zip(
        owners.of(keys).tolist(), keys.tolist(), similarities, strict=True
    ):
        if subject >= 0 and subject not in best:
            best[subject] = Candidate(subject, key, similarity)
    bound = float(scores[-1]) if len(scores) else -1.0
    fused = list(best.values())
    if fusion == "max" and not index.approximate:
        return fused, bound
    if fusion == "max":
        fused = _with_missed(index, owners, probe, keys, fused)
    else:
        fused = _means(index, owners, probe, fused)
    return sorted(fused, key=lambda c: (-c.similarity, c.subject)), bound


def _with_missed(
    index: VectorIndex, owners: Owners, probe: Array, found: Keys, best: Sequence[Candidate]
) -> list[Candidate]:
    """The candidates, with those of their templates that an approximate index did not find."""
    members = owners.members(np.asarray([c.subject for c in best], np.int64))
    missed = [keys[~np.isin(keys, found)] for keys in members]
    if not any(map(len, missed)):
        return list(best)
    scores = index.vectors(np.concatenate(missed)) @ probe
    parts = np.split(scores, np.cumsum([len(keys) for keys in missed])[:-1])
    return [
        Candidate(c.subject, int(keys[part.argmax()]), min(float(part.max()), 1.0))
        if len(part) and part.max() > c.similarity
        else c
        for c, keys, part in zip(best, missed, parts, strict=True)
    ]


def _means(
    index: VectorIndex, owners: Owners, probe: Array, best: Sequence[Candidate]
) -> list[Candidate]:
    members = owners.members(np.asarray([c.subject for c in best], np.int64))
    if not members:
        return []
    scores = index.vectors(np.concatenate(members)) @ probe
    parts = np.split(scores, np.cumsum([len(keys) for keys in members])[:-1])
    return [
        Candidate(c.subject, c.template, float(np.clip(part.mean(), -1, 1)))
        for c, part in zip(best, parts, strict=True)
        if len(part)
    ]
