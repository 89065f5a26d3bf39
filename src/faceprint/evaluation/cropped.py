"""Evaluates models on photographs that are cropped close to the face.

Profile pictures, scans and crops of other detectors look like that, and data sets of uncropped
photographs don't represent them. Each photograph is cropped around its face in several ways, and
detection and recognition are compared with those in the whole photograph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import LabeledSet
from faceprint.evaluation.embeddings import central_face
from faceprint.evaluation.labeled_scores import all_pairs
from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.types import AnalyzedImage, Array, Face, Image, OperatingPoint
from faceprint.vision import images

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["CUTS", "Cut", "CutResult", "PointRates", "cut_out", "evaluate_cropped"]


class Cut(NamedTuple):
    """Where a photograph ends on each side: that share of the face box beyond the box.

    Negative values cut into the face; None leaves the side as it is.
    """

    left: float | None
    top: float | None
    right: float | None
    bottom: float | None


CUTS: Mapping[str, Cut] = {
    "whole": Cut(None, None, None, None),
    "margin 30 %": Cut(0.3, 0.3, 0.3, 0.3),
    "margin 15 %": Cut(0.15, 0.15, 0.15, 0.15),
    "margin 0": Cut(0, 0, 0, 0),
    "one side": Cut(None, None, None, 0),
    "two sides": Cut(0, None, 0, None),
    "three sides": Cut(0, 0, 0, None),
    "half outside": Cut(-0.5, None, None, None),
}
"""The ways to crop; the first keeps the whole photograph."""


@dataclass(frozen=True, slots=True)
class PointRates:
    """Both error rates at one operating point."""

    fmr: float
    threshold: float
    fmr_found: float
    fnmr_found: float


@dataclass(frozen=True, slots=True)
class CutResult:
    """The results for one way to crop.

    Attributes:
        found: photographs with a detected face. lost: those with one in the whole photograph only.
        landmark_error: mean distance of the landmarks from the reference detector's in the whole
            photograph, as a share of the distance between the eyes; landmark_shift: the same from
            the detector's own. None for detectors without landmarks.
        usable: photographs whose face is good enough for a decision.
        points: error rates over all pairs of usable photographs, at the model's operating points.
    """

    cut: str
    photographs: int
    found: int
    lost: int
    landmark_error: float | None
    landmark_shift: float | None
    usable: int
    points: tuple[PointRates, ...]

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return asdict(self)


def cut_out(image: Image, box: Array, cut: Cut) -> tuple[Image, NDArray[np.int64]]:
    """A copy of the photograph cropped around a (4,) xyxy box, and the (x, y) of its corner."""
    height, width = image.shape[:2]
    w, h = box[2] - box[0], box[3] - box[1]
    left = 0 if cut.left is None else int(np.floor(box[0] - cut.left * w))
    top = 0 if cut.top is None else int(np.floor(box[1] - cut.top * h))
    right = width if cut.right is None else int(np.ceil(box[2] + cut.right * w))
    bottom = height if cut.bottom is None else int(np.ceil(box[3] + cut.bottom * h))
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    right, bottom = max(min(right, width), left + 1), max(min(bottom, height), top + 1)
    return image[top:bottom, left:right].copy(), np.asarray((left, top))


def evaluate_cropped(
    data: LabeledSet,
    analyzer: FaceAnalyzer,
    points: Sequence[OperatingPoint],
    *,
    reference: FaceAnalyzer | None = None,
    cuts: Mapping[str, Cut] = CUTS,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[CutResult, ...]:
    """Crop every photograph in every way, and measure detection, landmarks and error rates.

    Args:
        points: thresholds at which errors are counted.
        reference: its detector locates the face of each photograph; default: `analyzer`.
        progress: called with the number of photographs analyzed, and their total.

    Raises:
        DatasetError: the reference finds no face in any photograph.
        ModelError: the models can't be loaded.
    """
    minimum = usable_quality(analyzer.embedder_card)
    total, done = (len(cuts) + 1) * len(data.pictures), 0

    def through(
        fp: FaceAnalyzer, sources: Iterator[Image], *, embed: bool
    ) -> Iterator[AnalyzedImage]:
        nonlocal done
        for result in fp.analyze_many(sources, embed=embed, quality=embed):
            done += 1
            if progress is not None:
                progress(done, total)
            yield result

    def pictures(kept: Sequence[int]) -> Iterator[Image]:
        return (images.decode(data.pictures[index].read()) for index in kept)

    everything = range(len(data.pictures))
    fp = reference or analyzer
    marked = [
        central_face(each.faces, np.asarray((each.width, each.height)) / 2)
        for each in through(fp, pictures(everything), embed=False)
    ]
    kept = [index for index, face in enumerate(marked) if face is not None]
    truth = [face for face in marked if face is not None]
    if not kept:
        raise DatasetError(f"{data.name}: no face was found in any picture")
    total = len(everything) + len(cuts) * len(kept)
    results: list[CutResult] = []
    own: list[Face | None] = []
    for name, cut in cuts.items():
        corners: list[NDArray[np.int64]] = []

        def cuttings(cut: Cut = cut, corners: list[NDArray[np.int64]] = corners) -> Iterator[Image]:
            for image, face in zip(pictures(kept), truth, strict=True):
                cutting, corner = cut_out(image, face.box, cut)
                corners.append(corner)
                yield cutting

        found = [
            central_face(each.faces, (face.box[:2] + face.box[2:]) / 2 - corners[index])
            for index, (each, face) in enumerate(
                zip(through(analyzer, cuttings(), embed=True), truth, strict=True)
            )
        ]
        own = own or found
        usable = [face is not None and not objection(face.quality, minimum) for face in found]
        results.append(
            CutResult(
                name,
                len(kept),
                sum(face is not None for face in found),
                sum(
                    now is None and before is not None
                    for now, before in zip(found, own, strict=True)
                ),
                _distance(found, truth, corners),
                _distance(found, own, corners),
                sum(usable),
                tuple(_rates(list(compress(found, usable)), data.subjects[kept][usable], points)),
            )
        )
    return tuple(results)


def _distance(
    found: Sequence[Face | None],
    reference: Sequence[Face | None],
    corners: Sequence[NDArray[np.int64]],
) -> float | None:
    """Mean distance of landmarks, as a share of the distance between the eyes.

    `reference` has the coordinates of the whole photographs.
    """
    shares = []
    for face, right, corner in zip(found, reference, corners, strict=True):
        if face is None or right is None or face.landmarks is None or right.landmarks is None:
            continue
        eyes = float(np.linalg.norm(right.landmarks[1] - right.landmarks[0]))
        away = np.linalg.norm(face.landmarks + corner - right.landmarks, axis=1)
        shares.append(float(away.mean()) / max(eyes, 1.0))
    return float(np.mean(shares)) if shares else None


def _rates(
    found: Sequence[Face | None], subjects: NDArray[np.int64], points: Sequence[OperatingPoint]
) -> Iterator[PointRates]:
    rows = [
        (face.embedding.vector, subject)
        for face, subject in zip(found, subjects, strict=True)
        if face is not None and face.embedding is not None
    ]
    if len(rows) < 2:
        return
    scores = all_pairs(np.stack([vector for vector, _ in rows]), [subject for _, subject in rows])
    mated = scores.similarities[scores.mated]
    others = scores.similarities[~scores.mated]
    for point in points:
        if point.fmr is not None and len(mated) and len(others):
            yield PointRates(
                point.fmr,
                point.threshold,
                float((others >= point.threshold).mean()),
                float((mated < point.threshold).mean()),
            )
