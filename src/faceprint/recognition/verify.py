"""Verification, 1:1: are these two faces one person's?"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from faceprint.errors import NoFaceError, SeveralFacesError, UsageError
from faceprint.recognition.calibrations import decide_by
from faceprint.similarity import similarity_matrix
from faceprint.types import Face, FaceRule, OperatingPoint, Verification
from faceprint.vision import images
from faceprint.vision.images import ImageSource

if TYPE_CHECKING:
    from faceprint.vision.pipeline import FacePrint

__all__ = ["verify", "verify_faces"]


def verify(
    a: ImageSource,
    b: ImageSource,
    *,
    analyzer: FacePrint | None = None,
    fmr: float | None = None,
    threshold: float | None = None,
    faces: FaceRule = "largest",
    keep_crops: bool = False,
    calibration: str | None = None,
) -> Verification:
    """Compare the faces of two photographs.

    Args:
        analyzer: what `faceprint.load` gave; None for the default pack.
        fmr: decide at the operating point measured for this false match rate.
        threshold: decide at this cosine similarity instead.
        faces: `largest` compares the largest face of each photograph, `all` the most similar pair
            among all faces, `one` refuses a photograph that shows more than one.
        calibration: decide at a point of the calibration saved under this name.

    Raises:
        DecodeError, NoFaceError, SeveralFacesError: a photograph can't be used, and which one.
        UsageError: no operating point was measured for that FMR, or both rules were given.
        ModelMismatchError: the calibration was measured with other models.
    """
    if faces not in get_args(FaceRule):
        raise UsageError(f"faces is {faces!r}; it is one of {', '.join(get_args(FaceRule))}")
    fp = analyzer or _default_analyzer()
    decision = decide_by(fp, fmr=fmr, threshold=threshold, calibration=calibration)
    found = []
    for source in (a, b):
        candidates = fp.analyze(source, keep_crops=keep_crops)
        if not candidates:
            raise NoFaceError(f"{images.describe(source)}: no face found")
        if faces == "one" and len(candidates) > 1:
            raise SeveralFacesError(
                f"{images.describe(source)}: {len(candidates)} faces where exactly one was asked "
                "for"
            )
        found.append(candidates)
    result = verify_faces(found[0], found[1], decision.point, rule=faces, fp=fp)
    kept = decision.calibration
    if kept is None:
        return result
    return replace(
        result,
        rarity=None if kept.tail is None else kept.tail.answer(result.similarity).statement,
        probability=None
        if kept.score_map is None
        else float(kept.score_map.probability(result.similarity)),
        prior=None if kept.score_map is None else kept.score_map.prior,
    )


def verify_faces(
    a: list[Face], b: list[Face], point: OperatingPoint, *, rule: FaceRule, fp: FacePrint
) -> Verification:
    """The comparison itself, on faces that are analysed already, largest first."""
    first = a if rule == "all" else a[:1]
    second = b if rule == "all" else b[:1]
    scores = similarity_matrix(_vectors(first), _vectors(second))
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return Verification(
        similarity=float(np.clip(scores[row, column], -1.0, 1.0)),
        threshold=point.threshold,
        operating_point=point,
        faces=(first[int(row)], second[int(column)]),
        face_counts=(len(a), len(b)),
        pack=fp.name,
        embedder=fp.embedder.model,
    )


def _vectors(faces: list[Face]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.stack([face.embedding.vector for face in faces if face.embedding is not None])


@functools.lru_cache(maxsize=1)
def _default_analyzer() -> FacePrint:
    from faceprint.vision.pipeline import load

    return load()
