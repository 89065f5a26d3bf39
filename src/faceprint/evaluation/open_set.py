"""Open-set identification, with probes of enrolled people and probes of strangers.

Words as in ISO/IEC 19795-1 and the face recognition vendor tests: the CMC counts at which rank an
enrolled probe finds its subject; TPIR is the share of enrolled probes that find it at rank 1 at or
above a threshold; FPIR is the share of strangers who find anybody there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.intervals import RULE_OF_3, Rate, share
from faceprint.evaluation.person_bootstrap import rate_over_people

__all__ = ["Identified", "TpirAtFpir", "cmc", "open_set", "subject_scores"]


@dataclass(frozen=True, slots=True)
class TpirAtFpir:
    """The identification rate at the threshold that keeps a false positive identification rate.

    Attributes:
        fpir: the rate that was asked for.
        threshold, tpir: None when the strangers are too few for it (rule of 3).
        missed: enrolled probes not found (FNIR), with its interval over their people.
        seen: strangers that matched somebody at the threshold, with its interval over their people.
            The gallery is the same in every resample: the intervals are for these enrolled people.
    """

    fpir: float
    threshold: float | None
    tpir: float | None
    missed: Rate | None
    seen: Rate | None
    statement: str


@dataclass(frozen=True, slots=True)
class Identified:
    """The outcome of an open-set protocol.

    Attributes:
        cmc: share of enrolled probes found at rank 1, 2, ... (ties count against the subject).
        points: one for each FPIR asked for.
        enrolled, strangers, subjects: how many probes of either kind, and subjects in the gallery.
    """

    cmc: tuple[float, ...]
    points: tuple[TpirAtFpir, ...]
    enrolled: int
    strangers: int
    subjects: int


def subject_scores(
    similarities: ArrayLike, template_subjects: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The highest score among the templates of each subject.

    Args:
        similarities: (p, t) of probes and templates.
        template_subjects: (t,) the subject number of each template.

    Returns:
        (p, s) one score a subject, and (s,) the subject numbers, rising.

    Raises:
        UsageError: shapes that do not fit.
    """
    scores, subjects = np.asarray(similarities, np.float64), np.asarray(template_subjects, np.int64)
    if scores.ndim != 2 or scores.shape[1:] != subjects.shape or not len(subjects):
        raise UsageError(f"similarities {scores.shape} do not fit {len(subjects)} templates")
    order = np.argsort(subjects, kind="stable")
    names, starts = np.unique(subjects[order], return_index=True)
    return np.maximum.reduceat(scores[:, order], starts, axis=1), names


def cmc(ranks: ArrayLike, up_to: int) -> tuple[float, ...]:
    """The share of probes at rank 1..up_to or better, from (p,) ranks that start at 1."""
    counted = np.bincount(np.minimum(np.asarray(ranks, np.int64), up_to + 1), minlength=up_to + 2)
    return tuple((np.cumsum(counted[1 : up_to + 1]) / counted.sum()).tolist())


def open_set(
    probes: ArrayLike,
    probe_subjects: ArrayLike,
    gallery: ArrayLike,
    gallery_subjects: ArrayLike,
    *,
    fpirs: Sequence[float] = (1e-1, 1e-2, 1e-3),
    ranks: int = 20,
) -> Identified:
    """Search every probe in the gallery; those whose subject has no template are strangers.

    Args:
        probes: (p, d) unit rows; `probe_subjects`: (p,) subject numbers.
        gallery: (t, d) unit rows; `gallery_subjects`: (t,) subject numbers.

    Raises:
        UsageError: shapes that do not fit, or no enrolled probe.
    """
    rows, templates = np.asarray(probes, np.float32), np.asarray(gallery, np.float32)
    owners = np.asarray(probe_subjects, np.int64)
    if rows.ndim != 2 or templates.ndim != 2 or rows.shape[1] != templates.shape[1]:
        raise UsageError(f"probes {rows.shape} and gallery {templates.shape} are not (n, d)")
    if len(owners) != len(rows):
        raise UsageError(f"{len(rows)} probes came with {len(owners)} subject numbers")
    top, rank, names = np.empty(len(rows)), np.zeros(len(rows), np.int64), np.empty(0, np.int64)
    step = max(1, 16_000_000 // max(1, len(templates)))  # some 128 MB of similarities at a time
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        scores, names = subject_scores(rows[part] @ templates.T, gallery_subjects)
        top[part], rank[part] = scores.max(axis=1), _ranks(scores, owners[part], names)
    enrolled = rank > 0
    if not enrolled.any():
        raise UsageError("no probe shows a subject of the gallery")
    # An enrolled probe that is closer to another subject is found at no threshold.
    found = np.where(rank == 1, top, -np.inf)[enrolled]
    mates, strangers = (found, owners[enrolled]), (top[~enrolled], owners[~enrolled])
    return Identified(
        cmc(rank[enrolled], min(ranks, len(names))),
        tuple(_at_fpir(mates, strangers, fpir) for fpir in fpirs),
        len(found),
        int((~enrolled).sum()),
        len(names),
    )


def _ranks(
    scores: NDArray[np.float64], owners: NDArray[np.int64], names: NDArray[np.int64]
) -> NDArray[np.int64]:
    place = np.minimum(np.searchsorted(names, owners), len(names) - 1)
    own = scores[np.arange(len(scores)), place]
    # The subject itself reaches its score, so a single best one has rank 1.
    return np.where(names[place] == owners, (scores >= own[:, None]).sum(axis=1), 0)


_Probes = tuple[NDArray[np.float64], NDArray[np.int64]]
"""The best similarity of each probe, and its person number."""


def _at_fpir(mates: _Probes, strangers: _Probes, fpir: float) -> TpirAtFpir:
    rising, n = np.sort(strangers[0]), len(strangers[0])
    if not 0 < fpir <= 1:
        raise UsageError(f"fpir is {fpir}; a rate lies between 0 and 1, as 1e-2")
    if fpir * n < RULE_OF_3:
        least = "" if not n else f": even none matching would show at most {share(RULE_OF_3 / n)}"
        why = f"{n:,} probes of strangers cannot show an FPIR of {fpir:g}{least}"
        return TpirAtFpir(fpir, None, None, None, None, why)
    allowed = int(fpir * n + 1e-6)
    threshold = float(rising[0])
    if allowed < n:
        # The lowest threshold that rejects the next stranger and those of the same similarity.
        threshold = float(np.nextafter(rising[n - 1 - allowed], np.inf))
    seen = rate_over_people(strangers[0] >= threshold, strangers[1], strangers[1])
    missed = rate_over_people(mates[0] < threshold, mates[1], mates[1])
    tpir = 1 - missed.observed
    why = f"TPIR {share(tpir)} at threshold {threshold:.4f}; FPIR there {seen.statement}"
    return TpirAtFpir(fpir, threshold, tpir, missed, seen, why)
