"""Model cards: what a model is, where it comes from, what it may be used for, and how it is fed."""

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
    "Task",
]

Task = Literal["detect", "embed"]
CommercialUse = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """The zip archive that a file comes in, and its name inside."""

    name: str
    member: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Attributes:
        name: file name, unique in the store; also what a mirror is asked for.
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
    """What the weights and the code may be used for."""

    weights: str
    commercial_use: CommercialUse
    code: str = ""
    note: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class InputContract:
    """How an image becomes the graph's input: x' = (x - mean) / std on 0..255, then layout.

    Attributes:
        width, height: pixels; None where the graph takes any size.
        color: channel order that the graph expects.
        mean, std: three numbers each, in the graph's channel order.
        normalized_inside: the graph subtracts and divides itself; mean 0 and std 1 are then fed.
        mirror: an embedding is the sum of the crop's vector and its mirror image's, normalized:
            part of what this model's embeddings are, at twice the work.
        crops: how many views of a face are summed: 1; 2, the crop and its mirror image enlarged by
            a tenth; or 4, both sizes, each with its mirror image. Work grows with it.
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
        """Whether mirror images are part of this model's embeddings."""
        return self.mirror or self.crops > 1


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the five landmarks are put in the crop that an embedder sees.

    Attributes:
        template: name of the template (`arcface-112`, `dlib-150`, or the card's own id).
        size: side of the square crop in pixels.
        points: five (x, y) in crop pixels.
        weights: weight of each point in the least squares; equal when empty.
    """

    template: str
    size: int
    points: tuple[tuple[float, float], ...]
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure that the model's authors, or a named third party, published."""

    protocol: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class CardOperatingPoint:
    """An operating point together with the detector whose alignment it was measured with.

    Attributes:
        detector: a card's id; empty for a published threshold that names none.
    """

    detector: str
    point: OperatingPoint


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model of the zoo; data, never a class of its own.

    Attributes:
        decoder: `mtcnn`, `yunet`, `scrfd`, `retinaface` or `ultraface`; embedders: `vector`.
        dim: length of the embedding; None for detectors.
        landmarks: whether a detector gives the five points.
        options: decoder settings (thresholds, strides, ...), plain numbers.
        golden: what the graph makes of the golden pattern (`zoo/golden.py`): an embedder's first
            eight values at unit length, a detector's root mean square of each raw output; for
            `models lint` and the contract tests.
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
    origin: str = "packaged"

    @property
    def pinned(self) -> bool:
        """Whether every file's sha256 is known."""
        return all(file.sha256 for file in self.files)

    def file(self, role: str = "model") -> ModelFile:
        """The file of that role."""
        return next(file for file in self.files if file.role == role)
