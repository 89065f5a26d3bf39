"""Calibrates models on a user's labeled photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import DatasetError
from faceprint.evaluation.calibrate import FMR_TARGETS, CalibratedPoint, Calibration, calibrate
from faceprint.evaluation.datasets import LabeledSet, PairSet
from faceprint.evaluation.embeddings import EmbedOptions, Progress, embed_pictures
from faceprint.evaluation.fold_accuracy import cosines, pair_embeddings
from faceprint.evaluation.intervals import RULE_OF_30
from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs
from faceprint.evaluation.person_bootstrap import independent_ranks
from faceprint.evaluation.provenance import data_facts, engine_facts
from faceprint.evaluation.resampled_scores import KEEP
from faceprint.evaluation.score_map_fit import fit_score_map, fit_tail, reliability
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.saved_calibrations import model_hashes
from faceprint.recognition.thresholds.score_map import MapKind, Reliability, ScoreMap, Tail

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["FittedMaps", "calibrate_data", "calibration_file", "fit_maps", "labeled_scores"]

_MANY = 100
"""The isotonic map needs so many people; with fewer the logistic one is used."""


@dataclass(frozen=True, slots=True)
class FittedMaps:
    """Maps from similarity to probability; the reliability is measured on held-out people."""

    score_map: ScoreMap
    tail: Tail
    reliability: Reliability | None


def labeled_scores(
    data: LabeledSet | PairSet,
    analyzer: FaceAnalyzer,
    options: EmbedOptions,
    *,
    progress: Progress | None = None,
) -> tuple[LabeledScores, Mapping[str, object]]:
    """Scores of a list of pairs, or of every pair of labeled pictures, and facts about the data.

    Pictures without a detected face are left out, as `verify` refuses them.

    Raises:
        DatasetError: no picture with a face, or pictures that can't be used.
    """
    embedded = embed_pictures(data.pictures, analyzer, options, progress=progress)
    kept = embedded.found & embedded.usable
    facts = {"failed": embedded.failed}
    if isinstance(data, PairSet):
        chosen = kept[data.left] & kept[data.right]
        if not chosen.any():
            raise DatasetError(f"{data.name}: no pair has a face in both pictures")
        left, right = data.left[chosen], data.right[chosen]
        rows = pair_embeddings(embedded.vectors)
        scores = LabeledScores(
            cosines(rows, left, right).astype(np.float32),
            data.mated[chosen],
            data.people[left].astype(np.int32),
            data.people[right].astype(np.int32),
        )
        return scores, facts | data_facts(data.name, embedded.hashes, data.protocol)
    if kept.sum() < 2:
        raise DatasetError(f"{data.name}: faces were found in only {int(kept.sum())} pictures")
    scores = all_pairs(embedded.vectors[kept], data.subjects[kept], groups=data.groups)
    return scores, facts | data_facts(data.name, embedded.hashes, None)


def calibrate_data(
    name: str,
    data: LabeledSet | PairSet,
    analyzer: FaceAnalyzer,
    *,
    targets: Sequence[float] = FMR_TARGETS,
    keep: float | None = KEEP,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
    measuring: Callable[[], None] | None = None,
) -> CalibrationFile:
    """Measure operating points and maps for these models on these photographs.

    Args:
        keep: see `faceprint.evaluation.calibrate.calibrate`.
        progress: called after each batch of pictures.
        measuring: called when all pictures are embedded and compared.

    Raises:
        DatasetError: pictures that can't be used.
        UsageError: an invalid name, target or `keep`, or pairs of one kind only.
    """
    CalibrationFile(name, analyzer.name, {}, ())  # refuses a bad name before the work
    chosen = options or EmbedOptions(aligned=data.aligned)
    scores, facts = labeled_scores(data, analyzer, chosen, progress=progress)
    if measuring is not None:
        measuring()
    calibration = calibrate(scores, targets, keep=keep)
    return calibration_file(
        name,
        calibration,
        pack=analyzer.name,
        cards=model_hashes(analyzer, detector=not chosen.aligned),
        provenance={**engine_facts(analyzer, chosen), "data": facts},
        maps=fit_maps(scores),
    )


def fit_maps(scores: LabeledScores, *, seed: int = 0) -> FittedMaps:
    """Fit on everybody; the reliability is measured on the half that a second fit left out."""
    people = int(max(scores.first.max(), scores.second.max())) + 1
    kind: MapKind = "isotonic" if scores.people >= _MANY else "logistic"
    fitted = fit_score_map(scores.similarities, scores.mated, kind=kind)
    half: NDArray[np.bool_] = np.random.default_rng(seed).permutation(people) < people // 2
    one, other = scores.among(half), scores.among(~half)
    checked = None
    if all(part.mated.any() and not part.mated.all() for part in (one, other)):
        of_half = fit_score_map(one.similarities, one.mated, kind=kind)
        checked = reliability(of_half, other.similarities, other.mated)
    others = np.flatnonzero(~scores.mated)
    others = others[np.argsort(-scores.similarities[others], kind="stable")]
    ranks = independent_ranks(scores.first[others], scores.second[others], RULE_OF_30)
    return FittedMaps(fitted, fit_tail(scores.similarities[others], ranks), checked)


def calibration_file(
    name: str,
    calibration: Calibration,
    *,
    pack: str,
    cards: Mapping[str, str],
    provenance: Mapping[str, object],
    maps: FittedMaps | None = None,
) -> CalibrationFile:
    """The file of a calibration."""
    points = calibration.points
    return CalibrationFile(
        name,
        pack,
        dict(cards),
        tuple(point.operating_point(name, f"calibration {name}") for point in points),
        (*calibration.refused, *calibration.left_out),
        calibration.summary,
        None if maps is None else maps.score_map,
        None if maps is None else maps.tail,
        None if maps is None else maps.reliability,
        dict(provenance),
        tuple(_details(point) for point in points),
    )


def _details(point: CalibratedPoint) -> dict[str, object]:
    return {
        "fnmr_low": point.fnmr.low,
        "fnmr_high": point.fnmr.high,
        "false_matches": point.seen.errors,
        "non_mated": point.seen.trials,
        "false_non_matches": point.fnmr.errors,
        "mated": point.fnmr.trials,
        "fnmr_by_person": max(each.fnmr_by_person for each in point.rates),
        "groups": [
            {
                "data_set": each.data_set,
                "group": group.group,
                "within": group.within,
                "people": group.people,
                "fmr": group.fmr.observed,
                "fmr_low": group.fmr.low,
                "fmr_high": group.fmr.high,
                "enough": group.enough,
                "statement": group.fmr.statement,
            }
            for each in point.rates
            for group in each.groups
            if group.fmr.trials
        ],
        "bound_only": point.seen.value is None,
        "statement": point.statement,
    }
