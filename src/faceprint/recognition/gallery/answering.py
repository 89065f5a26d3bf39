"""From probes to identifications: the search, with names for what it finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faceprint.errors import GalleryCorruptError, ModelMismatchError, UsageError
from faceprint.recognition.gallery.core import Core
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.identify import Candidate
from faceprint.types import Embedding, Identification, Match, OperatingPoint

__all__ = ["identify"]


def identify(
    core: Core, search: Search, probes: Sequence[Embedding], point: OperatingPoint, top: int
) -> list[Identification]:
    """Answers for a batch of embeddings, in their order.

    Raises:
        ModelMismatchError: an embedding of another model.
        UsageError: `top` below 1.
    """
    if top < 1:
        raise UsageError(f"top is {top}, not a positive whole number")
    if not probes:
        return []
    header = core.store.header()
    _check(core.location, header, probes)
    try:
        found, names = _search(core, search, header, probes, top)
    except GalleryCorruptError:
        if core.store.header().epoch == header.epoch:
            raise
    now = core.store.header()
    if now.epoch != header.epoch:
        # Vectors were replaced while the search read them: a new key, or another model.
        _check(core.location, now, probes)
        found, names = _search(core, search, now, probes, top)
    answers = []
    for row in found:
        # Somebody removed since the search is nobody's match.
        living = [candidate for candidate in row if candidate.subject in names]
        matches = tuple(
            Match(names[c.subject], str(c.template), c.similarity, rank)
            for rank, c in enumerate(living, 1)
        )
        answers.append(Identification(matches, point.threshold, point))
    return answers


def _search(
    core: Core, search: Search, header: Header, probes: Sequence[Embedding], top: int
) -> tuple[list[list[Candidate]], dict[int, str]]:
    found = search.subjects(header, np.stack([probe.vector for probe in probes]), top)
    keys = sorted({candidate.subject for row in found for candidate in row})
    return found, {key: s.name for key, s in core.store.subjects_by_key(keys).items()}


def _check(location: str, header: Header, probes: Sequence[Embedding]) -> None:
    for probe in probes:
        if probe.model != header.model.id or probe.vector.shape != (header.model.dim,):
            raise ModelMismatchError(
                f"the probe is an embedding of {probe.model}, {location} holds vectors of "
                f"{header.model.id}; embed it with that model"
            )
