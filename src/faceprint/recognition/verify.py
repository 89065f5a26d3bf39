"""Verification, 1:1: are these two faces one person's?"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from faceprint.errors import NoFaceError, SeveralFacesError, UsageError
from faceprint.recognition.thresholds.calibrations import Decision, decide_by
from faceprint.recognition.thresholds.decidable import objection, usable_quality
from faceprint.similarity import similarity_matrix
from faceprint.types import AnalyzedImage, Face, FaceRule, OperatingPoint, Verification
from faceprint.vision import images
from faceprint.vision.images import ImageSource

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["verify", "verify_analyzed", "verify_faces"]


def verify(  # noqa: PLR0913 - the front door: all but the photographs by name
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

    Where a face is too poor for the model's error rates to hold, the answer is that nothing can be
    decided: `decidable` is False, `reason` says why, and `is_match` is False.

    Args:
        analyzer: what `faceprint.load` gave; None for the default pack.
        fmr: decide at the operating point measured for this false match rate.
        threshold: decide at this cosine similarity instead.
        faces: `largest` compares the largest face of each photograph, `all` the most similar pair
            among all faces, `one` refuses a photograph that shows more than one.
        calibration: decide at a point of the calibration saved under this name.
        min_quality: the least `quality.value` that decides; None for what the embedder's card
            supports, 0 to decide whatever the quality.

    Raises:
        DecodeError, NoFaceError, SeveralFacesError: a photograph can't be used, and which one.
        UsageError: no operating point was measured for that FMR, both rules were given, or
            `min_quality` is not within 0..1.
        ModelMismatchError: the calibration was measured with other models.
    """
    _check_rule(faces)
    fp = analyzer or _default_analyzer()
    least = usable_quality(fp.embedder_card, min_quality)
    decision = decide_by(fp, fmr=fmr, threshold=threshold, calibration=calibration)
    found = []
    for source in (a, b):
        candidates = fp.analyze(source, keep_crops=keep_crops)
        _check_count(candidates, images.describe(source), faces)
        found.append(candidates)
    return _decide((found[0], found[1]), decision, rule=faces, fp=fp, least=least)


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
    least = usable_quality(analyzer.embedder_card, min_quality)
    decision = decide_by(analyzer, fmr=fmr, threshold=threshold, calibration=calibration)
    for result in (a, b):
        if result.error is not None:
            raise result.error
        _check_count(result.faces, result.source, faces)
    return _decide((a.faces, b.faces), decision, rule=faces, fp=analyzer, least=least)


def _check_rule(faces: str) -> None:
    if faces not in get_args(FaceRule):
        raise UsageError(f"faces is {faces!r}; it is one of {', '.join(get_args(FaceRule))}")


def _check_count(found: list[Face], name: str, rule: FaceRule) -> None:
    if not found:
        raise NoFaceError(f"{name}: no face found")
    if rule == "one" and len(found) > 1:
        raise SeveralFacesError(f"{name}: {len(found)} faces where exactly one was asked for")


def _decide(
    found: tuple[list[Face], list[Face]],
    decision: Decision,
    *,
    rule: FaceRule,
    fp: FaceAnalyzer,
    least: float | None,
) -> Verification:
    result = verify_faces(*found, decision.point, rule=rule, fp=fp, least=least)
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
    a: list[Face],
    b: list[Face],
    point: OperatingPoint,
    *,
    rule: FaceRule,
    fp: FaceAnalyzer,
    least: float | None = None,
) -> Verification:
    """The comparison itself, on faces that are analyzed already, largest first.

    Args:
        least: the quality that a face needs (`decidable.usable_quality`). Of several faces in one
            photograph those that have it go first.
    """
    first = a if rule == "all" else a[:1]
    second = b if rule == "all" else b[:1]
    reasons = [[objection(face.quality, least) for face in faces] for faces in (first, second)]
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
    """The faces without an objection; all of them where there is none."""
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
