"""The result of clustering: people with their faces, and unassigned faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.recognition.clustering.int8_neighbors import Ints
from faceprint.recognition.clustering.mapped_rows import group_sums, slices
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold
from faceprint.types import Array

__all__ = ["Album", "AlbumFace", "MissingPhotograph", "Person", "arrange", "mean_similarity"]


@dataclass(frozen=True, slots=True, eq=False)
class AlbumFace:
    """A face of an album.

    Attributes:
        box: x1 y1 x2 y2 in pixels of the upright photograph.
        similarity: mean similarity to the person's other faces; None if there are none.
        doubtful: that mean is below the threshold for merging the face with the others.
        reason: why it is unassigned; empty for a face of a person.
        thumbnail: JPEG, or None.
        key: of the face in an album file; None without one.
    """

    source: str
    box: tuple[float, float, float, float]
    score: float
    similarity: float | None = None
    doubtful: bool = False
    reason: str = ""
    thumbnail: bytes | None = None
    key: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, without the thumbnail."""
        line: dict[str, Any] = {"source": self.source, "box": list(self.box)}
        if self.reason:
            return line | {"reason": self.reason}
        similarity = None if self.similarity is None else round(self.similarity, 4)
        return line | {"similarity": similarity, "doubtful": self.doubtful}


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person: the most typical face first."""

    id: int
    name: str
    faces: tuple[AlbumFace, ...]


@dataclass(frozen=True, slots=True)
class MissingPhotograph:
    """A photograph that was not found where it was, and the names of the people on it."""

    source: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Album:
    """People by number of faces, and unassigned faces.

    Attributes:
        merge_threshold: the similarities that made groups one person, and the evidence for them.
        failed: photographs that could not be used, with the reason.
        notes: for the owner, such as corrections that name no face.
        missing: photographs of the album that were not found; their faces are not shown.
    """

    people: tuple[Person, ...]
    unassigned: tuple[AlbumFace, ...]
    merge_threshold: MergeThreshold
    embedder: str
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[MissingPhotograph, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The document of `cluster --json`."""
        return {
            "people": [
                {"id": p.id, "name": p.name, "faces": [face.to_dict() for face in p.faces]}
                for p in self.people
            ],
            "unassigned": [face.to_dict() for face in self.unassigned],
            "failed": [{"source": source, "error": error} for source, error in self.failed],
            "threshold": round(self.merge_threshold.pair, 6),
            "threshold_many": round(self.merge_threshold.large, 6),
            "measured_on": self.merge_threshold.source,
            "evidence": self.merge_threshold.evidence,
            "provisional": self.merge_threshold.provisional,
            "embedder": self.embedder,
            "notes": list(self.notes),
            "missing": [{"source": m.source, "names": list(m.names)} for m in self.missing],
        }


def arrange(
    table: EmbeddingTable,
    labels: Ints,
    reasons: Sequence[str],
    threshold: MergeThreshold,
    names: dict[int, str] | None = None,
    keys: Ints | None = None,
) -> tuple[tuple[Person, ...], tuple[AlbumFace, ...]]:
    """People from (n,) labels, which become their ids; a negative label means unassigned.

    Args:
        keys: (n,) keys of the faces in their album file.
    """
    means, others = mean_similarity(table.vectors, labels)
    needed = threshold.for_sizes(np.ones(1, np.float32), np.maximum(others, 1))
    order = np.lexsort((np.arange(len(labels)), -np.nan_to_num(means, nan=2.0), labels))
    groups: dict[int, list[AlbumFace]] = {}
    for i in order.tolist():
        label = int(labels[i])
        mean = None if np.isnan(means[i]) or label < 0 else float(means[i])
        face = AlbumFace(
            table.sources[i],
            _rounded(table.boxes[i]),
            float(table.scores[i]),
            mean,
            mean is not None and mean < float(needed[i]),
            reasons[i] if label < 0 else "",
            table.thumbnails[i],
            None if keys is None else int(keys[i]),
        )
        groups.setdefault(label, []).append(face)
    unassigned = tuple(face for label in sorted(groups) if label < 0 for face in groups[label])
    people = [
        Person(label, (names or {}).get(label, ""), tuple(faces))
        for label, faces in groups.items()
        if label >= 0
    ]
    return tuple(sorted(people, key=lambda p: (-len(p.faces), p.id))), unassigned


def mean_similarity(vectors: Array, labels: Ints) -> tuple[Array, Array]:
    """(n,) mean similarity of each row to the others with its label, NaN if alone; their number."""
    if not len(labels):
        return np.empty(0, np.float32), np.empty(0, np.float32)
    _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = group_sums(vectors, numbers, len(counts))
    mean = np.full(len(labels), np.nan, np.float32)
    for part in slices(vectors):
        rows, others = vectors[part], counts[numbers[part]] - 1
        total = np.einsum("nd,nd->n", rows, sums[numbers[part]] - rows)
        mean[part][others > 0] = (total / np.maximum(others, 1))[others > 0]
    return mean, np.asarray(counts[numbers] - 1, np.float32)


def _rounded(box: Array) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(float(v), 2) for v in box)
    return x1, y1, x2, y2
