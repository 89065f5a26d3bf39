"""The values that pass between packages: frozen, RGB, xyxy pixels, higher similarity is closer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
"""Which face of several is used: the largest, all, or an error unless there is exactly one."""


Evidence = Literal["measured", "copy", "calibrated", "published", "borrowed", "given"]
"""The evidence for a threshold. It was measured with these weights (`measured`), with a copy made
from the publisher's weights (`copy`), on the user's own photographs (`calibrated`) or with another
detector of the same landmark convention (`borrowed`), or it was published by a third party
(`published`) or given by the caller (`given`)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The error rates of one threshold on one data set.

    Attributes:
        data_set: the data set's name with its variant, such as "LFW, 5 folds, gray, wide".
        fmr: the share of non-mated pairs that matched.
        fmr_low, fmr_high: 95 % interval of the FMR for as many other people.
        fnmr: the share of mated pairs that did not match.
        fnmr_low, fnmr_high: 95 % interval of the FNMR.
        fnmr_by_person: the mean of each person's FNMR, so that all people count the same; None if
            it was not measured.
        group: the group of people with the highest FMR among themselves, such as "two women";
            empty if no groups were labeled.
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
            None if it was not measured for these models.
        fmr_low, fmr_high: 95 % interval of the FMR on the data set where it is highest.
        fnmr: the share of mated pairs that do not match, on the data set where it is highest.
        source: where it was measured, in words or as the name of a report.
        evidence: see `Evidence`.
        measurements: the error rates on each data set.
        fpir: the false positive identification rate that the threshold of a search was chosen for;
            None if it was not chosen for one.
        templates: among how many templates that is.
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
    fpir: float | None = None
    templates: int | None = None

    @property
    def provisional(self) -> bool:
        """Whether the threshold was not measured for these models."""
        return self.evidence in ("published", "borrowed")

    @property
    def measured_on(self) -> tuple[Measurement, ...]:
        """The threshold's error rates by data set; empty if it was not measured.

        A measured point without a named data set takes the name from its source.
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
        rarity: how many non-mated pairs score this high, in words; only with a calibration.
        probability: of the pair being mated if a share `prior` of all pairs is; only with a
            calibration.
        reason: why the similarity can't decide; empty if it does.
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
        """Whether the similarity reaches the threshold; False if it can't decide."""
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
    """A candidate for a probe: a subject, and the subject's most similar template."""

    subject: str
    template: str
    similarity: float
    rank: int

    def to_dict(self) -> dict[str, Any]:
        """An entry of `candidates` in JSON."""
        return asdict(self) | {"similarity": round(self.similarity, 6)}


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer of an open-set search: candidates, best first, and the threshold that decides.

    Attributes:
        reason: why the similarity can't decide; empty if it does.
    """

    candidates: tuple[Match, ...]
    threshold: float
    operating_point: OperatingPoint | None = None
    reason: str = ""

    @property
    def decidable(self) -> bool:
        """Whether the probe is good enough for the similarity to decide."""
        return not self.reason

    @property
    def subject(self) -> str | None:
        """The best candidate's subject; None for a stranger, or if the similarity can't decide."""
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
