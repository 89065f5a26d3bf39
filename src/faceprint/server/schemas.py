"""The documents of the API: the keys of `--json`, typed, with examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Candidate",
    "Clusters",
    "ConsentInfo",
    "DetectedFace",
    "Document",
    "EnrollmentResult",
    "FacesAnswer",
    "FaceQuality",
    "IdentifiedFace",
    "IdentifyAnswer",
    "MeasuredOn",
    "ModelInfo",
    "ModelsAnswer",
    "OperatingPointInfo",
    "ProblemDocument",
    "SubjectInfo",
    "SubjectList",
    "SubjectUpdate",
    "TemplateInfo",
    "VerifyAnswer",
]


class Document(BaseModel):
    """A document that has the listed keys alone."""

    model_config = ConfigDict(extra="forbid")


class ProblemDocument(Document):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(examples=["/problems/no-face"])
    title: str = Field(examples=["No face was found"])
    status: int = Field(examples=[422])
    detail: str | None = Field(None, examples=["image: no face found"])


class FaceQuality(Document):
    """How good a picture of a face is."""

    value: float = Field(description="0..1; where the model has a measure, 0.5 is the least usable")
    size: float = Field(description="shorter side of the box in pixels")
    sharpness: float
    yaw: float | None = Field(description="-1..1; 0 is frontal, null without landmarks")
    measure: str = Field(examples=["embedding"])
    landmarks_plausible: bool


class DetectedFace(Document):
    """A face in a photograph."""

    box: list[float] = Field(
        min_length=4, max_length=4, description="x1, y1, x2, y2 in pixels of the upright image"
    )
    score: float = Field(description="the detector's confidence, 0..1")
    landmarks: list[list[float]] | None = Field(description="five points, or null")
    quality: FaceQuality | None = None
    embedding: list[float] | None = Field(
        None, description="unit length; only on request, with a key of the scope embed"
    )
    norm: float | None = Field(None, description="length before normalization, with `embedding`")
    crop: str | None = Field(None, description="aligned crop as a data URL; only on request")


class FacesAnswer(Document):
    """The faces of one photograph, largest first."""

    width: int
    height: int
    embedder: str | None = Field(None, description="whose embeddings these are")
    faces: list[DetectedFace]


class VerifiedFace(DetectedFace):
    """The face of one photograph that was compared."""

    face_count: int = Field(description="faces in this photograph")


class MeasuredOn(Document):
    """What was found at this threshold on one data set."""

    data_set: str
    fmr: float | None
    fmr_low: float | None
    fmr_high: float | None
    fnmr: float | None
    fnmr_low: float | None
    fnmr_high: float | None
    fnmr_by_person: float | None
    group: str | None
    group_fmr: float | None


class VerifyAnswer(Document):
    """Are the two faces one person's? The keys are those of `faceprint verify --json`."""

    similarity: float = Field(examples=[0.969], description="cosine, -1..1")
    threshold: float = Field(examples=[0.933])
    match: bool
    decidable: bool = Field(description="false where a face is too poor to decide anything")
    reason: str | None
    fmr: float | None = Field(description="false match rate at this threshold, if measured")
    fmr_low: float | None
    fmr_high: float | None
    operating_point: str
    evidence: str | None = Field(
        description="measured, copy, calibrated, published, borrowed or given"
    )
    provisional: bool
    measured_on: list[MeasuredOn]
    source: str | None = None
    rarity: str | None
    probability: float | None
    prior: float | None
    pack: str
    embedder: str
    faces: list[VerifiedFace] = Field(min_length=2, max_length=2)


class Candidate(Document):
    """A subject who resembles the face."""

    subject: str
    template: str
    similarity: float
    rank: int


class IdentifiedFace(Document):
    """Who a face is; `subject` is null for a stranger."""

    box: list[float]
    subject: str | None
    similarity: float | None
    threshold: float
    evidence: str | None
    provisional: bool | None
    decidable: bool
    reason: str | None
    candidates: list[Candidate]


class IdentifyAnswer(Document):
    """An answer for each face of the photograph, largest first."""

    threshold: float
    operating_point: str
    faces: list[IdentifiedFace]


class ConsentInfo(Document):
    """On what grounds somebody is enrolled."""

    basis: str = Field(min_length=1, examples=["written consent"])
    given: str | None = Field(None, description="ISO 8601; today if left out")
    expires: str | None = Field(None, description="ISO 8601; null where it does not end")
    reference: str = Field("", description="where the signed consent is filed")


class SubjectInfo(Document):
    """Somebody in the gallery."""

    id: str = Field(description="for the address of this subject; never given twice")
    name: str = Field(examples=["ada"])
    metadata: dict[str, Any]
    consent: ConsentInfo | None
    created: str
    templates: int


class SubjectList(Document):
    """Everybody in the gallery, by name."""

    subjects: list[SubjectInfo]
    next: str | None = Field(description="give as `after` for the next page; null at the end")


class SubjectUpdate(Document):
    """What to replace; what is left out stays."""

    name: str | None = Field(None, min_length=1, max_length=500, examples=["Ada"])
    metadata: dict[str, Any] | None = None
    consent: ConsentInfo | None = None


class TemplateInfo(Document):
    """A photograph's embedding in the gallery; the embedding itself is never answered."""

    id: str
    source: str
    created: str
    quality: float | None
    box: list[float] | None


class SubjectDetails(SubjectInfo):
    """A subject with its templates."""

    items: list[TemplateInfo]


class EnrollmentResult(Document):
    """What became of one photograph: a template, or the reason why it was not used."""

    source: str
    template: str | None
    new: bool = Field(False, description="false where this photograph was enrolled before")
    reason: str | None = None


class EnrollAnswer(Document):
    """A subject, after photographs were enrolled."""

    subject: SubjectInfo | None = Field(description="null where no photograph could be used")
    results: list[EnrollmentResult]


class Clusters(Document):
    """People among photographs; `source` is the name of the uploaded file."""

    model_config = ConfigDict(extra="allow")

    people: list[dict[str, Any]]
    unassigned: list[dict[str, Any]]
    failed: list[Any]


class ModelInfo(Document):
    """A model that the server has opened."""

    id: str
    title: str
    task: str
    license: str
    commercial_use: str


class OperatingPointInfo(Document):
    """A threshold and what it is worth."""

    name: str
    threshold: float
    fmr: float | None
    fnmr: float | None
    evidence: str | None
    provisional: bool


class ModelsAnswer(Document):
    """The models of the server and their operating points."""

    pack: str
    runtime: str
    detector: ModelInfo
    embedder: ModelInfo
    operating_points: list[OperatingPointInfo]
