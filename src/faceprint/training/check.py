"""`train check`: what a data set can carry, before anything is trained on it."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint.evaluation.datasets import LabeledSet
from faceprint.evaluation.embeddings import embed_pictures
from faceprint.training import cleaning
from faceprint.training.crop_build import PeopleCrops, Progress, build_store, people_of
from faceprint.training.crop_store import CropStore
from faceprint.training.people_data import has_names
from faceprint.types import Image

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["CheckOptions", "DataReport", "Shared", "check_data", "shared_people"]


@dataclass(frozen=True, slots=True)
class Shared:
    """A person of the data who is also in an evaluation set.

    Attributes:
        evaluation: the set's name.
        why: `name`, `photograph` (the same bytes) or `face` (close centers).
    """

    person: str
    evaluation: str
    other: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class DataReport:
    """What was found.

    Attributes:
        photographs: in the folder, with or without a crop.
        findings: of cleaning; its indices are those of `people`.
        shared: people who are also in an evaluation set. Training on them is refused.
    """

    photographs: int
    people: PeopleCrops
    findings: cleaning.Findings
    shared: tuple[Shared, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nobody is shared with an evaluation set."""
        return not self.shared

    def cleaned(self) -> PeopleCrops:
        """The data without near-duplicates and outliers. Probable merges are left to a person."""
        keep = np.ones(len(self.people.rows), np.bool_)
        keep[[other for _, other in self.findings.duplicates]] = False
        keep[list(self.findings.outliers)] = False
        return self.people.only(keep)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `train check`."""
        people, found = self.people, self.findings
        counts = people.counts()
        quartiles = np.percentile(counts, [0, 25, 50, 75, 100])
        names = ("min", "lower_quartile", "median", "upper_quartile", "max")
        return {
            "people": len(people.names),
            "photographs": self.photographs,
            "crops": len(people.rows),
            "photographs_each": dict(zip(names, quartiles.tolist(), strict=True)),
            "people_with_one": int((counts == 1).sum()),
            "several_faces": people.several,
            "unusable": [{"source": name, "reason": why} for name, why in people.unusable],
            "repeated": list(people.repeated),
            "conflicting": list(people.conflicting),
            "near_duplicates": [
                {"kept": people.pictures[a], "other": people.pictures[b]}
                for a, b in found.duplicates
            ],
            "outliers": [people.pictures[i] for i in found.outliers],
            "probably_one": [
                {"a": people.names[a], "b": people.names[b], "similarity": round(cosine, 4)}
                for a, b, cosine in found.merges
            ],
            "levels": {"strangers": found.stranger_level, "own": found.own_level},
            "shared": [
                {"person": s.person, "evaluation": s.evaluation, "other": s.other, "why": s.why}
                for s in self.shared
            ],
            "passed": self.passed,
        }


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What `check_data` works with.

    Attributes:
        analyzer: see `build_store`.
        against: evaluation sets, whose people must not be in the data.
        progress: of new photographs.
    """

    analyzer: FaceAnalyzer | None = None
    against: Sequence[LabeledSet] = field(default=())
    progress: Progress | None = None


def check_data(
    data: LabeledSet, store_folder: Path, options: CheckOptions
) -> tuple[DataReport, CropStore]:
    """Fill the crop store and report on the data.

    Raises:
        DatasetError: the data or the store can't be used.
        ModelError: the models can't be loaded.
    """
    store, hashes = build_store(data, store_folder, options.analyzer, options.progress)
    people = people_of(data, store, hashes)
    vectors = np.asarray(store.vectors()[people.rows])
    found = cleaning.find(vectors, _Rows(store, people), people.subjects)
    shared: list[Shared] = []
    for other in options.against:
        shared += shared_people(people, vectors, other, options.analyzer, found.own_level)
    return DataReport(len(data), people, found, tuple(shared)), store


class _Rows:
    """The crops of the people's photographs, read one at a time."""

    def __init__(self, store: CropStore, people: PeopleCrops) -> None:
        self._crops, self._rows = store.crops(), people.rows

    def __getitem__(self, i: int) -> Image:
        return np.asarray(self._crops[self._rows[i]])


def shared_people(
    people: PeopleCrops,
    vectors: Any,
    other: LabeledSet,
    analyzer: FaceAnalyzer | None,
    level: float | None,
) -> list[Shared]:
    """People who are in both sets: by name, by the bytes of a photograph, or by their faces.

    Args:
        vectors: (n, d) embeddings of the people's crops; d = 0 leaves faces uncompared.
        analyzer: embeds the pictures of `other`; its embeddings are cached.
        level: cosine of centers from which two people are one; None leaves faces uncompared.
    """
    found: dict[tuple[int, int], str] = {}
    if analyzer is not None and level is not None and vectors.shape[1]:
        embedded = embed_pictures(other.pictures, analyzer)
        usable = embedded.found & embedded.usable
        hashes: Mapping[bytes, int] = dict(
            zip(embedded.hashes, other.subjects.tolist(), strict=True)
        )
        if usable.any():
            kept, places = np.unique(other.subjects[usable], return_inverse=True)
            centers = cleaning.centers_of(embedded.vectors[usable], places)
            own = cleaning.centers_of(vectors, people.subjects)
            for i, j, _ in cleaning.same_people(own, centers, level):
                found[i, int(kept[j])] = "face"
    else:
        hashes = {
            hashlib.sha256(picture.read()).digest(): int(subject) for picture, subject in other
        }
    for sha256, subject in zip(people.hashes, people.subjects.tolist(), strict=True):
        if sha256 in hashes:
            found[subject, hashes[sha256]] = "photograph"
    named = people.named and has_names(other)
    known = {_plain(name): number for number, name in enumerate(other.names) if named}
    for number, name in enumerate(people.names):
        if (match := known.get(_plain(name))) is not None:
            found[number, match] = "name"
    return [
        Shared(people.names[i], other.name, other.names[j], why)
        for (i, j), why in sorted(found.items())
    ]


def _plain(name: str) -> str:
    """A name without case, accents, underscores and other signs."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(
        r"[\W_]+", " ", "".join(c for c in letters if not unicodedata.combining(c))
    ).strip()
