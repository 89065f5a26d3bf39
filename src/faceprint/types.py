"""The values that pass between the parts: frozen, checked, RGB, xyxy pixels, similarity up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from faceprint.arrays import Array, Detections, Image, check_image
from faceprint.faces import AnalyzedImage, Embedding, Face, Quality

__all__ = [
    "AnalyzedImage",
    "Array",
    "Detections",
    "Embedding",
    "Evidence",
    "Face",
    "FaceRule",
    "Identification",
    "Image",
    "Match",
    "Measurement",
    "OperatingPoint",
    "Quality",
    "Verification",
    "check_image",
]

FaceRule = Literal["largest", "all", "one"]
"""Which face of several takes part: the largest, each, or an error unless there is exactly one."""


Evidence = Literal["measured", "copy", "calibrated", "published", "borrowed", "given"]
"""What stands behind a threshold: it was measured with these very weights (`measured`), with a copy
of the weights that was derived from the publisher's file (`copy`), or on the user's own photographs
(`calibrated`); a third party published it (`published`); it was measured with another detector of
the same landmark convention (`borrowed`); or the caller gave it (`given`)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The error rates of one threshold on one data set.

    Attributes:
        data_set: the data set's name, with what sets it apart ("LFW, 5 folds, gray, wide").
        fmr: the share of non-mated pairs that matched.
        fmr_low, fmr_high: the interval (95 %) of that share for as many other people.
        fnmr: the share of mated pairs that did not match.
        fnmr_low, fnmr_high: the interval (95 %) of that share.
        fnmr_by_person: the mean over people of each person's FNMR: no person counts for more than
            another. None when not measured.
        group: the group of people with the highest FMR among themselves, as "two women"; empty
            when no groups were labeled.
        group_fmr: the FMR within that group.
    """

    data_set: str
    fmr: float
    fmr_low: float | None = None
    fmr_high: float | None = None
    fnmr: float | None = None
    fnmr_low: float | None = None
    fnmr_high: float | None = None
    fnmr_by_person: float | None = None
    group: str = ""
    group_fmr: float | None = None


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with the evidence for it.

    Attributes:
        threshold: cosine similarity; at or above it two faces match.
        fmr: the false match rate that the threshold keeps on every data set it was measured on;
            None when nobody measured it for these models.
        fmr_low, fmr_high: the interval (95 %) of the FMR on the data set where it is highest.
        fnmr: the share of mated pairs that do not match, on the data set where it is highest.
        source: where it was measured, in words or as the name of a report.
        evidence: what stands behind the threshold.
        measurements: the error rates on each data set.
    """

    threshold: float
    fmr: float | None = None
    fmr_low: float | None = None
    fmr_high: float | None = None
    fnmr: float | None = None
    name: str = ""
    source: str = ""
    evidence: Evidence = "measured"
    measurements: tuple[Measurement, ...] = ()

    @property
    def provisional(self) -> bool:
        """Whether nobody measured the threshold for these models."""
        return self.evidence in ("published", "borrowed")

    @property
    def measured_on(self) -> tuple[Measurement, ...]:
        """The error rates of the threshold on each data set; empty when nobody measured it.

        A point that names no data set by itself was measured on what its source says.
        """
        if self.measurements or self.fmr is None or self.evidence == "given" or self.provisional:
            return self.measurements
        return (
            Measurement(self.source or self.name, self.fmr, self.fmr_low, self.fmr_high, self.fnmr),
        )

    def to_dict(self) -> dict[str, Any]:
        """What `verify --json` says about the threshold."""
        return {
            "threshold": round(self.threshold, 6),
            "fmr": self.fmr,
            "fmr_low": self.fmr_low,
            "fmr_high": self.fmr_high,
            "operating_point": self.name,
            "evidence": self.evidence,
            "provisional": self.provisional,
            "measured_on": [asdict(item) for item in self.measured_on],
            "source": self.source,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """The answer of a 1:1 comparison.

    Attributes:
        rarity: how many non-mated pairs score this high, in words; by a calibration alone.
        probability: that the pair is mated, where a share `prior` of all pairs are; likewise.
        reason: why nothing can be decided, empty where the similarity decides.
    """

    similarity: float
    threshold: float
    operating_point: OperatingPoint
    faces: tuple[Face, Face]
    face_counts: tuple[int, int]
    pack: str = ""
    embedder: str = ""
    rarity: str | None = None
    probability: float | None = None
    prior: float | None = None
    reason: str = ""

    @property
    def decidable(self) -> bool:
        """Whether both faces are good enough for the similarity to decide."""
        return not self.reason

    @property
    def is_match(self) -> bool:
        """Whether the similarity reaches the threshold; False where nothing can be decided."""
        return self.decidable and self.similarity >= self.threshold

    def to_dict(self) -> dict[str, Any]:
        """The document of `verify --json`."""
        answer = {
            "similarity": round(self.similarity, 6),
            "threshold": None,
            "match": self.is_match,
            "decidable": self.decidable,
            "reason": self.reason or None,
        }
        return (
            answer
            | self.operating_point.to_dict()
            | {
                "threshold": round(self.threshold, 6),
                "rarity": self.rarity,
                "probability": None if self.probability is None else round(self.probability, 6),
                "prior": self.prior,
                "pack": self.pack,
                "embedder": self.embedder,
                "faces": [
                    face.to_dict() | {"face_count": count}
                    for face, count in zip(self.faces, self.face_counts, strict=True)
                ],
            }
        )


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate for a probe: a subject and the template that came closest."""

    subject: str
    template: str
    similarity: float
    rank: int

    def to_dict(self) -> dict[str, Any]:
        """An entry of `candidates` in JSON."""
        return asdict(self) | {"similarity": round(self.similarity, 6)}


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer of an open-set search: candidates best first, and the threshold that decides.

    Attributes:
        reason: why nothing can be decided, empty where the similarity decides.
    """

    candidates: tuple[Match, ...]
    threshold: float
    operating_point: OperatingPoint | None = field(default=None)
    reason: str = ""

    @property
    def decidable(self) -> bool:
        """Whether the probe is good enough for the similarity to decide."""
        return not self.reason

    @property
    def subject(self) -> str | None:
        """The best candidate's subject; None for a stranger, and where nothing can be decided."""
        if not self.decidable or not self.candidates:
            return None
        best = self.candidates[0]
        return best.subject if best.similarity >= self.threshold else None

    def __iter__(self) -> Iterator[Match]:
        return iter(self.candidates)

    def to_dict(self) -> dict[str, Any]:
        """A line of `identify --json`, without the face's `source` and `box`."""
        best = round(self.candidates[0].similarity, 6) if self.candidates else None
        point = self.operating_point
        return {
            "subject": self.subject,
            "similarity": best,
            "threshold": round(self.threshold, 6),
            "evidence": None if point is None else point.evidence,
            "provisional": None if point is None else point.provisional,
            "decidable": self.decidable,
            "reason": self.reason or None,
            "candidates": [match.to_dict() for match in self.candidates],
        }
