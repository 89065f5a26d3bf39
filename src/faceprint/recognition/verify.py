"""Verification, 1:1: are these two faces the same person?"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from faceprint.errors import NoFaceError, SeveralFacesError, UsageError
from faceprint.recognition.thresholds.default_threshold import Decision, decide_by
from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.similarity import similarity_matrix
from faceprint.types import AnalyzedImage, Face, FaceRule, OperatingPoint, Verification
from faceprint.vision import images
from faceprint.vision.images import ImageSource

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["verify", "verify_analyzed", "verify_faces"]


def verify(  # noqa: PLR0913 - public; all but the photographs by keyword
    a: ImageSource,
    b: ImageSource,
    *,
    analyzer: FaceAnalyzer | None = None,
    fmr: float | None = None,
    threshold: float | None = None,
    faces: FaceRule = "largest",
    keep_crops: bool = False,
    calibration: str | None = None,
    min_quality: float | None = None,
) -> Verification:
    """Compare the faces of two photographs.

    If a face is too poor for the model's error rates to hold, the result is undecided: `decidable`
    is False, `reason` says why, and `is_match` is False.

    Args:
        analyzer: from `faceprint.load`; None for the default pack.
        fmr: use the operating point measured for this false match rate.
        threshold: use this cosine similarity instead.
        faces: `largest` compares the largest face of each photograph, `all` the most similar pair
            among all faces, `one` refuses a photograph that shows more than one.
        calibration: use a point of the calibration saved under this name.
        min_quality: the minimum `quality.value`; None for the embedder's, 0 for any quality.

    Raises:
        DecodeError, NoFaceError, SeveralFacesError: a photograph can't be used; says which.
        UsageError: no operating point was measured for that FMR, both rules were given, or
            `min_quality` is not within 0..1.
        ModelMismatchError: the calibration was measured with other models.
    """
    _check_rule(faces)
    fp = analyzer or _default_analyzer()
    minimum = usable_quality(fp.embedder_card, min_quality)
    decision = decide_by(fp, fmr=fmr, threshold=threshold, calibration=calibration)
    found = []
    for source in (a, b):
        candidates = fp.analyze(source, keep_crops=keep_crops)
        _check_count(candidates, images.describe(source), faces)
        found.append(candidates)
    return _decide((found[0], found[1]), decision, rule=faces, fp=fp, minimum=minimum)


def verify_analyzed(
    a: AnalyzedImage,
    b: AnalyzedImage,
    *,
    analyzer: FaceAnalyzer,
    fmr: float | None = None,
    threshold: float | None = None,
    faces: FaceRule = "largest",
    calibration: str | None = None,
    min_quality: float | None = None,
) -> Verification:
    """`verify` on photographs that this analyzer has analyzed already.

    Raises:
        What `verify` raises, and the error of a photograph that could not be used.
    """
    _check_rule(faces)
    minimum = usable_quality(analyzer.embedder_card, min_quality)
    decision = decide_by(analyzer, fmr=fmr, threshold=threshold, calibration=calibration)
    for result in (a, b):
        if result.error is not None:
            raise result.error
        _check_count(result.faces, result.source, faces)
    return _decide((a.faces, b.faces), decision, rule=faces, fp=analyzer, minimum=minimum)


def _check_rule(faces: str) -> None:
    if faces not in get_args(FaceRule):
        raise UsageError(f"faces is {faces!r}; it is one of {', '.join(get_args(FaceRule))}")


def _check_count(found: list[Face], name: str, rule: FaceRule) -> None:
    if not found:
        raise NoFaceError(f"{name}: no face found")
    if rule == "one" and len(found) > 1:
        raise SeveralFacesError(f"{name}: {len(found)} faces, expected exactly one")


def _decide(
    found: tuple[list[Face], list[Face]],
    decision: Decision,
    *,
    rule: FaceRule,
    fp: FaceAnalyzer,
    minimum: float | None,
) -> Verification:
    result = verify_faces(*found, decision.point, rule=rule, fp=fp, minimum=minimum)
    calibration_file = decision.calibration
    if calibration_file is None:
        return result
    tail, score_map = calibration_file.tail, calibration_file.score_map
    if tail is not None:
        result = replace(result, rarity=tail.answer(result.similarity).statement)
    if score_map is not None:
        probability = float(score_map.probability(result.similarity))
        result = replace(result, probability=probability, prior=score_map.prior)
    return result


def verify_faces(
    a: list[Face],
    b: list[Face],
    point: OperatingPoint,
    *,
    rule: FaceRule,
    fp: FaceAnalyzer,
    minimum: float | None = None,
) -> Verification:
    """Compare the faces of two analyzed photographs, largest first.

    Args:
        minimum: quality of a face, from `usable_quality`; among several faces in a photograph,
            those that reach it are preferred.
    """
    first = a if rule == "all" else a[:1]
    second = b if rule == "all" else b[:1]
    reasons = [[objection(face.quality, minimum) for face in faces] for faces in (first, second)]
    first, reasons[0] = _usable(first, reasons[0])
    second, reasons[1] = _usable(second, reasons[1])
    scores = similarity_matrix(_vectors(first), _vectors(second))
    row, column = (int(place) for place in np.unravel_index(int(scores.argmax()), scores.shape))
    why = zip(("first", "second"), (reasons[0][row], reasons[1][column]), strict=True)
    return Verification(
        similarity=float(np.clip(scores[row, column], -1.0, 1.0)),
        threshold=point.threshold,
        operating_point=point,
        faces=(first[row], second[column]),
        face_counts=(len(a), len(b)),
        pack=fp.name,
        embedder=fp.embedder.model,
        reason="; ".join(f"{which} photograph: {reason}" for which, reason in why if reason),
    )


def _usable(faces: list[Face], reasons: list[str]) -> tuple[list[Face], list[str]]:
    """The faces without an objection; if there are none, all faces."""
    kept = [index for index, reason in enumerate(reasons) if not reason]
    if not kept:
        return faces, reasons
    return [faces[index] for index in kept], [""] * len(kept)


def _vectors(faces: list[Face]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.stack([face.embedding.vector for face in faces if face.embedding is not None])


@functools.lru_cache(maxsize=1)
def _default_analyzer() -> FaceAnalyzer:
    from faceprint.vision.analyzer import load

    return load()
