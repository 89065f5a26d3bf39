"""Model cards: a model's files, license, input and measured figures, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from faceprint.types import OperatingPoint

__all__ = [
    "Alignment",
    "ArchiveMember",
    "CommercialUse",
    "InputContract",
    "License",
    "ModelCard",
    "ModelFile",
    "PublishedFigure",
    "QualityMeasure",
    "Task",
]

Task = Literal["detect", "embed"]
CommercialUse = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """The zip archive that contains a file, and the file's name in it."""

    name: str
    member: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Attributes:
        name: file name, unique in the store; a mirror is asked for this name.
        sha256: None makes the card "unpinned".
        size: bytes.
        urls: addresses tried in turn; of the archive when `archive` is given.
        role: `model` for the graph; MTCNN has `pnet`, `rnet` and `onet`.
        bundled: ships inside the package under `zoo/weights/`.
    """

    name: str
    sha256: str | None
    size: int | None = None
    urls: tuple[str, ...] = ()
    role: str = "model"
    bundled: bool = False
    archive: ArchiveMember | None = None


@dataclass(frozen=True, slots=True)
class License:
    """The licenses of the weights and the code."""

    weights: str
    commercial_use: CommercialUse
    code: str = ""
    note: str = ""
    url: str = ""

    def stricter_use(self, other: License) -> CommercialUse:
        """Whether what is made from both may be used commercially."""
        order: tuple[CommercialUse, ...] = ("no", "unclear", "yes")
        return min(self.commercial_use, other.commercial_use, key=order.index)


@dataclass(frozen=True, slots=True)
class InputContract:
    """How an image becomes the graph's input: x' = (x - mean) / std on 0..255, then layout.

    Attributes:
        width, height: pixels; None where the graph takes any size.
        color: channel order that the graph expects.
        mean, std: three numbers each, in the graph's channel order.
        normalized_inside: the graph normalizes its input; mean is then 0 and std 1.
        mirror: an embedding is the normalized sum of the vectors of the crop and of its mirror
            image, at twice the work.
        crops: how many views of a face are summed: 1; 2, the crop and its mirror image enlarged by
            a tenth; or 4, both sizes, each with its mirror image. The work grows with it.
    """

    width: int | None
    height: int | None
    color: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    normalized_inside: bool = False
    mirror: bool = False
    crops: Literal[1, 2, 4] = 1

    @property
    def mirrored(self) -> bool:
        """Whether embeddings include mirror images."""
        return self.mirror or self.crops > 1


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the five landmarks lie in an embedder's crop.

    Attributes:
        template: name of the template (`arcface-112`, `dlib-150`, or the card's own id).
        size: side of the square crop in pixels.
        points: five (x, y) in crop pixels.
        weights: weight of each point in the least-squares fit; equal when empty.
    """

    template: str
    size: int
    points: tuple[tuple[float, float], ...]
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure published by the model's authors or a named third party."""

    protocol: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class CardOperatingPoint:
    """An operating point and the detector whose alignment it was measured with.

    Attributes:
        detector: a card id; empty for a published threshold that names none.
    """

    detector: str
    point: OperatingPoint


@dataclass(frozen=True, slots=True)
class QualityMeasure:
    """How well a face can be recognized, computed from its embedding.

    The score is `norm` times the length of the network's vector, minus the greatest cosine of the
    embedding and a center. `knots` map it to 0..1 (docs/decisions/0003-quality.md).

    Attributes:
        knots: (score, value) pairs, both rising; linear between them, constant beyond them. From
            the value 0.5 on, the model's error rates hold.
        norm: weight of the length; 0 where it says nothing.
        centers: embeddings that poor pictures of anybody tend to: each the mean over many people,
            as `dim` signed bytes in base64.
        source: the data it was measured on.
    """

    knots: tuple[tuple[float, float], ...]
    norm: float = 0.0
    centers: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model of the zoo.

    Attributes:
        decoder: `mtcnn`, `yunet`, `scrfd`, `retinaface` or `ultraface`; embedders: `vector`.
        dim: length of the embedding; None for detectors.
        landmarks: whether a detector finds the five landmarks.
        options: decoder settings (thresholds, strides, ...).
        golden: expected values for the golden pattern; see `zoo/golden.py`.
        quality: an embedder's measure of quality; None if none was measured.
        origin: `packaged`, or the path of the user's card.
    """

    id: str
    task: Task
    decoder: str
    title: str
    files: tuple[ModelFile, ...]
    license: License
    input: InputContract
    description: str = ""
    dim: int | None = None
    alignment: Alignment | None = None
    landmarks: bool = True
    training_data: str = ""
    paper: str = ""
    homepage: str = ""
    published: tuple[PublishedFigure, ...] = ()
    operating_points: tuple[CardOperatingPoint, ...] = ()
    options: dict[str, float] = field(default_factory=dict)
    golden: tuple[float, ...] = ()
    quality: QualityMeasure | None = None
    origin: str = "packaged"

    @property
    def pinned(self) -> bool:
        """Whether every file's sha256 is known."""
        return all(file.sha256 for file in self.files)

    def file(self, role: str = "model") -> ModelFile:
        """Return the file of that role."""
        return next(file for file in self.files if file.role == role)
