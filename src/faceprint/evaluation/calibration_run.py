"""From a user's labeled photographs to a calibration that can be saved under a name."""

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
from faceprint.evaluation.intervals import RULE_OF_30
from faceprint.evaluation.labeled import LabeledScores, all_pairs
from faceprint.evaluation.people import independent_ranks
from faceprint.evaluation.protocols import cosines, pair_embeddings
from faceprint.evaluation.provenance import data_facts, engine_facts
from faceprint.evaluation.score_map import fit_score_map, fit_tail, reliability
from faceprint.evaluation.thresholds import KEEP
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.saved_calibrations import model_hashes
from faceprint.recognition.thresholds.score_map import MapKind, Reliability, ScoreMap, Tail

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["FittedMaps", "calibrate_data", "calibration_file", "fit_maps", "labeled_scores"]

_MANY = 100
"""People from which on the isotonic map has data enough; the logistic one serves fewer."""


@dataclass(frozen=True, slots=True)
class FittedMaps:
    """What turns a similarity into words; the reliability is that of people not fitted on."""

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

    Pictures in which no face was found take no part: `verify` refuses them.

    Raises:
        DatasetError: no pictures with faces are left, or pictures that cannot be used.
    """
    embedded = embed_pictures(data.pictures, analyzer, options, progress=progress)
    kept = embedded.found & embedded.usable
    facts = {"failed": embedded.failed}
    if isinstance(data, PairSet):
        chosen = kept[data.left] & kept[data.right]
        if not chosen.any():
            raise DatasetError(f"{data.name}: no pair is left in which both pictures show a face")
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
        raise DatasetError(f"{data.name}: a face was found in {int(kept.sum())} pictures only")
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
        progress: told after each batch of pictures.
        measuring: called when all pictures are embedded and their pairs are judged.

    Raises:
        DatasetError: pictures that cannot be used.
        UsageError: a name that is none, a target or `keep` that is no rate, or pairs of one kind
            alone.
    """
    CalibrationFile(name, analyzer.name, {}, ())  # a bad name is told before the work, not after
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
    """Fit on everybody; the reliability comes from a fit on half of the people, on the others."""
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
    """Put together what was measured."""
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
