"""Who a track shows: one decision from the best of its faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from faceprint.recognition.thresholds.min_quality import objection
from faceprint.similarity import normalize, similarity_matrix
from faceprint.types import Array, Embedding, Face, Identification, OperatingPoint

if TYPE_CHECKING:
    from faceprint.recognition.gallery.gallery import Gallery

__all__ = ["BestFaces", "Consensus", "consensus", "identify_track"]

_MOST = 10
"""Faces kept of a track. More of one take say the same again."""

_SPACING = 0.2
"""Seconds within which only the better of two faces is kept: neighbors share their errors."""

_DEVIATIONS = 3.0
_NORMAL = 1.4826
"""Standard deviations in a median absolute deviation, for normal errors."""

_LEAST_SPREAD = 0.01
"""A standard deviation of similarities that is smaller says nothing: few faces, or all the same."""


class BestFaces:
    """The best faces of a track by quality, at most ten and not all from one moment."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, Face]] = []

    def add(self, time: float, face: Face) -> bool:
        """Offer an embedded face; whether it is now the best of all."""
        best = max((_value(kept) for _, kept in self._kept), default=-1.0)
        near = [i for i, (at, _) in enumerate(self._kept) if abs(at - time) < _SPACING - 1e-6]
        if any(_value(self._kept[i][1]) >= _value(face) for i in near):
            return False
        self._kept = [entry for i, entry in enumerate(self._kept) if i not in near]
        self._kept.append((time, face))
        self._kept.sort(key=lambda entry: -_value(entry[1]))
        del self._kept[_MOST:]
        return _value(face) > best

    @property
    def faces(self) -> tuple[Face, ...]:
        """The faces, best first."""
        return tuple(face for _, face in self._kept)


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """What the faces of a track agree on.

    Attributes:
        embedding: the mean of those used, at unit length; None if none can be used.
        agreement: 0..1, the length of the mean before; 1 if all faces are the same.
        faces: those used, best first.
        rejected: number of faces that resemble the others too little.
        reason: why none can be used; empty if some can.
    """

    embedding: Embedding | None
    faces: tuple[Face, ...]
    rejected: int = 0
    reason: str = ""
    agreement: float = 1.0


def consensus(
    faces: Sequence[Face], least: float | None = None, loose: float | None = None
) -> Consensus:
    """The mean embedding of a track's faces, weighted by quality, without outliers.

    The face that resembles the others most, by the median, stands for the track. A face whose
    similarity to it is below `loose` is somebody else or nobody. Where no `loose` is known, one is
    left out that lies three standard deviations below the median.

    Args:
        faces: embedded by one model, best first.
        least: the quality that a face needs (`min_quality.usable_quality`).
        loose: cosine similarity below which two faces are not taken for one person.
    """
    usable = [face for face in faces if not objection(face.quality, least)]
    if not usable:
        why = objection(faces[0].quality, least) if faces else "no face was embedded"
        return Consensus(None, (), reason=why)
    embeddings = [face.embedding for face in usable if face.embedding is not None]
    kept = np.flatnonzero(_agreeing(np.stack([e.vector for e in embeddings]), loose))
    used = tuple(usable[index] for index in kept)
    weights = np.asarray([max(_value(face), 1e-6) for face in used])
    weights /= weights.sum()
    vectors = np.stack([embeddings[index].vector for index in kept])
    norms = np.asarray([embeddings[index].norm for index in kept])
    mean, length = normalize((weights @ vectors)[None])
    embedding = Embedding(mean[0], embeddings[0].model, float(weights @ norms))
    agreement = min(1.0, float(length[0]))
    return Consensus(embedding, used, len(usable) - len(used), agreement=agreement)


def _agreeing(vectors: Array, loose: float | None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(n,) whether each of (n, d) unit rows belongs to the one in the middle of them."""
    count = len(vectors)
    if count == 1:
        return np.ones(1, bool)
    scores = similarity_matrix(vectors, vectors)
    others = scores[~np.eye(count, dtype=bool)].reshape(count, count - 1)
    middle = int(np.argmax(np.round(np.median(others, axis=1), 6)))
    to_middle = scores[middle]
    if loose is None:
        center = np.median(to_middle)
        spread = max(_NORMAL * np.median(np.abs(to_middle - center)), _LEAST_SPREAD)
        loose = float(center - _DEVIATIONS * spread)
    agreeing: np.ndarray[tuple[int], np.dtype[np.bool_]] = to_middle >= loose - 1e-6
    agreeing[middle] = True
    return agreeing


def identify_track(
    gallery: Gallery, found: Consensus, point: OperatingPoint, top: int = 5
) -> Identification:
    """Search a gallery for a track, at the threshold of a single face.

    The mean of several faces resembles everybody more than one face does: what is particular to
    each picture cancels out, and what remains is stretched to unit length. So similarities are
    multiplied by the square root of the mean's length (`Consensus.agreement`). With that, strangers
    reach a threshold as often with a track as with a single face (docs/video.md: measured).
    """
    if found.embedding is None:
        return Identification((), point.threshold, point, found.reason)
    answer = gallery.identify_many([found.embedding], point, top=top)[0]
    scale = math.sqrt(found.agreement)
    candidates = tuple(replace(c, similarity=c.similarity * scale) for c in answer.candidates)
    return replace(answer, candidates=candidates)


def _value(face: Face) -> float:
    return 0.0 if face.quality is None else face.quality.value
