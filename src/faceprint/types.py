"""The values that pass between packages: frozen, RGB, xyxy pixels, higher similarity is closer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from faceprint.arrays import Array, Detections, Image, check_image

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


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A face as a point on the unit sphere.

    Attributes:
        vector: (d,) float32 of unit length.
        model: the embedder's card id.
        norm: the length before normalization; poor pictures have low norms.
    """

    vector: Array
    model: str
    norm: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of a picture of a face.

    Attributes:
        size: the shorter side of the box in pixels.
        sharpness: variance of the Laplacian of the aligned crop's luminance (Pech-Pacheco 2000).
        yaw: how far the head is turned, -1..1: horizontal offset of the nose from the middle of
            the eyes, in eye distances; 0 is frontal. None without landmarks.
        value: 0..1. For an embedded face whose embedder's card has a quality measure, the model's
            error rates hold from 0.5 up. Otherwise size, sharpness and yaw in one number, for
            ranking the faces of one person. 0 where the landmarks are not plausible.
        measure: whether `value` comes from the `crop` or the `embedding`.
        landmarks_plausible: False where the five points can't be those of a face; crop and
            embedding then show something else.
    """

    size: float
    sharpness: float
    yaw: float | None
    value: float
    measure: Literal["crop", "embedding"] = "crop"
    landmarks_plausible: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face.

    Attributes:
        box: (4,) float32 x1 y1 x2 y2 in pixels of the upright image.
        score: the detector's confidence, 0..1.
        landmarks: (5, 2) float32 pixels; None if the detector gives none, and the face was aligned
            by its box.
        quality, embedding: None if they were not asked for.
        crop: the aligned crop that the embedder saw, kept only on request.
    """

    box: Array
    score: float
    landmarks: Array | None
    quality: Quality | None = None
    embedding: Embedding | None = None
    crop: Image | None = None

    @property
    def area(self) -> float:
        """Box area in square pixels."""
        width, height = np.maximum(self.box[2:] - self.box[:2], 0)
        return float(width * height)


@dataclass(frozen=True, slots=True, eq=False)
class AnalyzedImage:
    """The result for one photograph of a stream: its faces, or the error why it can't be used."""

    source: str
    faces: list[Face]
    width: int = 0
    height: int = 0
    error: Exception | None = None


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
        """Whether the threshold was not measured for these models."""
        return self.evidence in ("published", "borrowed")


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


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate for a probe: a subject, and the subject's most similar template."""

    subject: str
    template: str
    similarity: float
    rank: int


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
