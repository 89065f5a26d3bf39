"""Find one person in many photographs: each face is compared with the person's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint.errors import InputError, ModelMismatchError, NoFaceError, UsageError
from faceprint.recognition.gallery.analyzer import operating_point
from faceprint.recognition.thresholds.default_threshold import decide_by
from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.recognition.thresholds.saved_calibrations import calibration_for
from faceprint.similarity import similarity_matrix
from faceprint.types import AnalyzedImage, Face, OperatingPoint
from faceprint.vision import images
from faceprint.vision.images import ImageSource

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["PersonSearch", "Sighting", "find"]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A photograph in which the person was found, or one that can't be used.

    Attributes:
        face: the face that is most similar to the person's; None if there is an `error`.
        similarity: the cosine similarity of that face.
        operating_point: what decided.
    """

    source: str
    face: Face | None
    similarity: float | None
    operating_point: OperatingPoint
    error: Exception | None = None

    def to_dict(self) -> dict[str, Any]:
        """A line of `find --json`."""
        point = self.operating_point
        line: dict[str, Any] = {
            "source": self.source,
            "box": None if self.face is None else self.face.to_dict()["box"],
            "similarity": None if self.similarity is None else round(self.similarity, 6),
            "threshold": round(point.threshold, 6),
            "evidence": point.evidence,
            "provisional": point.provisional,
        }
        return line if self.error is None else line | {"error": str(self.error)}


@dataclass(slots=True, eq=False)
class PersonSearch:
    """Compares faces with those of one person, and counts what it compared.

    Attributes:
        references: faces of the person, embedded; the most similar one counts.
        point: the operating point that decides.
        minimum: quality that a face needs, from `usable_quality`.
        face_counts: how many faces each photograph of the person shows.
        photographs, faces, poor: what was seen so far; `poor` faces were not compared.
    """

    references: Sequence[Face]
    point: OperatingPoint
    minimum: float | None = None
    face_counts: Sequence[int] = ()
    photographs: int = field(default=0, init=False)
    faces: int = field(default=0, init=False)
    poor: int = field(default=0, init=False)

    @property
    def comparisons(self) -> int:
        """The number of comparisons made; each is a chance of a false match."""
        return self.faces * len(self.references)

    @property
    def expected_false_matches(self) -> float | None:
        """How many comparisons match if none shows the person; None if the FMR is unknown.

        Above the true number: faces of the person are counted too.
        """
        rate = self.point.fmr if self.point.fmr is not None else self.point.fmr_high
        return None if rate is None else rate * self.comparisons

    def look(self, photographs: Iterable[AnalyzedImage]) -> Iterator[Sighting]:
        """Yield a sighting for each photograph with the person, or with an error, in order.

        Raises:
            ModelMismatchError: an embedding of another model than the person's.
        """
        for photograph in photographs:
            self.photographs += 1
            if photograph.error is not None:
                yield Sighting(photograph.source, None, None, self.point, photograph.error)
                continue
            good = [face for face in photograph.faces if not objection(face.quality, self.minimum)]
            self.faces += len(good)
            self.poor += len(photograph.faces) - len(good)
            if not good:
                continue
            vectors = _vectors(good, model=self._model)
            scores = similarity_matrix(vectors, _vectors(self.references)).max(axis=1)
            best = int(scores.argmax())
            similarity = float(np.clip(scores[best], -1.0, 1.0))
            if similarity >= self.point.threshold:
                yield Sighting(photograph.source, good[best], similarity, self.point)

    @property
    def _model(self) -> str:
        embedding = self.references[0].embedding
        return "" if embedding is None else embedding.model

    def doubtful(self) -> list[int]:
        """The references, by place, that do not match the first one."""
        scores = similarity_matrix(_vectors(self.references), _vectors(self.references[:1]))[:, 0]
        return [place for place, score in enumerate(scores) if score < self.point.threshold]


def find(
    person: Any,
    photographs: Iterable[Any],
    *,
    analyzer: FaceAnalyzer | None = None,
    fmr: float | None = None,
    fpir: float | None = None,
    threshold: float | None = None,
    calibration: str | None = None,
    min_quality: float | None = None,
) -> Iterator[Sighting]:
    """Find the photographs that show a person, lazily and in order.

    Args:
        person: a photograph of the person (path, bytes, PIL image or array), or several;
            of each, the largest face is taken.
        photographs: paths and the like, or what `analyze_many` gives.
        analyzer: from `faceprint.load`; None for the default pack.
        fmr, fpir, threshold, calibration: see `person_search`.
        min_quality: the minimum `quality.value`; None for the embedder's, 0 for any quality.

    Raises:
        NoFaceError, DecodeError, InputError: a photograph of the person can't be used.
        UsageError: several rules, or no operating point for the rule.
    """
    if analyzer is None:
        from faceprint.vision.analyzer import load

        analyzer = load()
    several = isinstance(person, Sequence) and not isinstance(person, str | bytes | bytearray)
    search = person_search(
        analyzer,
        person if several else [person],
        fmr=fmr,
        fpir=fpir,
        threshold=threshold,
        calibration=calibration,
        min_quality=min_quality,
    )
    return search.look(_analyzed(photographs, analyzer))


def person_search(
    analyzer: FaceAnalyzer,
    person: Sequence[ImageSource],
    *,
    fmr: float | None = None,
    fpir: float | None = None,
    threshold: float | None = None,
    calibration: str | None = None,
    min_quality: float | None = None,
) -> PersonSearch:
    """Prepare the search for the person of some photographs.

    Args:
        fmr: the false match rate of each comparison; the default of `verify` if no rule is given.
        fpir: the share of other people's faces that may be taken for the person. Each face is
            compared with all photographs of the person, so the threshold grows with their number.
        threshold: use this cosine similarity instead.
        calibration: use the points of the calibration saved under this name.

    Raises:
        What `find` raises.
    """
    if not person:
        raise UsageError("no photograph of the person")
    minimum = usable_quality(analyzer.embedder_card, min_quality)
    if fpir is None:
        decided = decide_by(analyzer, fmr=fmr, threshold=threshold, calibration=calibration)
        point = decided.point
    elif fmr is not None:
        raise UsageError("give fmr or fpir, not both")
    else:
        points = None if calibration is None else calibration_for(calibration, analyzer).points
        point = operating_point(analyzer, len(person), fpir, threshold, points)
    found = [_references(analyzer, one, minimum) for one in person]
    counts = tuple(len(faces) for faces in found)
    return PersonSearch([faces[0] for faces in found], point, minimum, counts)


def _references(analyzer: FaceAnalyzer, source: ImageSource, minimum: float | None) -> list[Face]:
    """The faces of a photograph of the person; the first one is the person's."""
    name = images.describe(source)
    faces = analyzer.analyze(source)
    if not faces:
        raise NoFaceError(f"{name}: no face found")
    reason = objection(faces[0].quality, minimum)
    if reason:
        raise InputError(f"{name}: {reason}, so it can't stand for the person; take another")
    return faces


def _analyzed(photographs: Iterable[Any], analyzer: FaceAnalyzer) -> Iterator[AnalyzedImage]:
    stream = iter(photographs)
    first = next(stream, None)
    if first is None:
        return iter(())
    whole = itertools.chain([first], stream)
    if isinstance(first, AnalyzedImage):
        return whole
    return analyzer.analyze_many(whole)


def _vectors(faces: Sequence[Face], model: str = "") -> np.ndarray[Any, np.dtype[np.float32]]:
    """(n, d) embeddings; `model` is the one they must be of."""
    embeddings = [face.embedding for face in faces if face.embedding is not None]
    if len(embeddings) != len(faces):
        raise UsageError("a face without embedding; analyze with embed=True")
    for other in {embedding.model for embedding in embeddings} - {model, ""}:
        if model:
            raise ModelMismatchError(
                f"faces of {other} do not compare with the person's, which are of {model}"
            )
    return np.stack([embedding.vector for embedding in embeddings])
