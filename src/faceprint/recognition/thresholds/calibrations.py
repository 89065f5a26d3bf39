"""Calibrations by name, under FACEPRINT_HOME/calibrations, and which models they hold for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceprint import settings
from faceprint.errors import DatasetError, ModelMismatchError, UsageError
from faceprint.recognition.thresholds.calibration_file import (
    CalibrationFile,
    load_calibration,
    save_calibration,
)
from faceprint.recognition.thresholds.operating_points import (
    DEFAULT_FMR,
    KnownPoints,
    choose_point,
    known_points,
)
from faceprint.types import OperatingPoint
from faceprint.zoo.card_io import card_hash

if TYPE_CHECKING:
    from faceprint.recognition.gallery.analyzer import Analyzer

__all__ = [
    "Decision",
    "analyzer_points",
    "calibration_for",
    "decide_by",
    "fitting_calibrations",
    "keep_calibration",
    "model_hashes",
    "named_calibration",
    "saved_names",
    "search_points",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """The point that decides, and the calibration that it comes from, if any."""

    point: OperatingPoint
    calibration: CalibrationFile | None = None


def decide_by(
    analyzer: Analyzer,
    *,
    fmr: float | None = None,
    threshold: float | None = None,
    calibration: str | None = None,
) -> Decision:
    """Which threshold decides for these models.

    A named calibration; else the card's points for this very pair; else the one saved calibration
    of these models that has a point at `fmr`; else what `known_points` falls back on, a borrowed or
    a published threshold, which is provisional.

    Raises:
        UsageError: no such name, nothing measured for `fmr`, several calibrations that could be
            meant, or a threshold and another rule.
        ModelMismatchError: the named calibration was measured with other models.
    """
    card, detector = analyzer.embedder_card, analyzer.detector_card
    if calibration is not None:
        if threshold is not None:
            raise UsageError("give calibration or threshold, not both")
        chosen = calibration_for(calibration, analyzer)
        if not chosen.points:
            raise UsageError(
                f"the calibration {calibration} has no operating point: its data were "
                "too few; see its `refused`"
            )
        return Decision(choose_point(card, detector, fmr=fmr, calibrated=chosen.points), chosen)
    if threshold is not None or (fmr is not None and not 0 < fmr < 1):
        return Decision(choose_point(card, detector, fmr=fmr, threshold=threshold))
    known = analyzer_points(analyzer)
    if known.points and not known.provisional and (fmr is None or _has(known.points, fmr)):
        return Decision(known.choose(fmr))
    wanted = DEFAULT_FMR if fmr is None else fmr
    fitting = [kept for kept in fitting_calibrations(analyzer) if kept.points]
    having = [kept for kept in fitting if _has(kept.points, wanted)]
    if not having and fmr is None and fitting:
        kept = _only(fitting, "were measured with these models")
        return Decision(choose_point(card, detector, calibrated=kept.points), kept)
    if not having:
        return Decision(known.choose(fmr))
    kept = _only(having, f"have a point at FMR {wanted:g}")
    return Decision(choose_point(card, detector, fmr=wanted, calibrated=kept.points), kept)


def analyzer_points(analyzer: Analyzer) -> KnownPoints:
    """What the embedder's card says of these models (`recognition.operating.known_points`)."""
    return known_points(
        analyzer.embedder_card, analyzer.detector_card, mirrored=bool(analyzer.mirror)
    )


def search_points(analyzer: Analyzer) -> KnownPoints:
    """What a search may go by: as `analyzer_points`, and a calibration before provisional points.

    Raises:
        UsageError: several calibrations could be meant.
    """
    known = analyzer_points(analyzer)
    if known.points and not known.provisional:
        return known
    having = [kept for kept in fitting_calibrations(analyzer) if kept.points]
    if not having:
        return known
    kept = _only(having, "were measured with these models")
    return KnownPoints(kept.points, "calibrated", known.model, known.detector)


def _only(having: list[CalibrationFile], what: str) -> CalibrationFile:
    if len(having) > 1:
        names = ", ".join(found.name for found in having)
        raise UsageError(f"several calibrations {what}; say which: {names}")
    return having[0]


def _has(points: Sequence[OperatingPoint], fmr: float) -> bool:
    return any(p.fmr is not None and math.isclose(p.fmr, fmr, rel_tol=1e-6) for p in points)


def keep_calibration(calibration: CalibrationFile) -> Path:
    """Save under its name, in place of an older one of that name; returns the file."""
    path = _folder() / f"{calibration.name}.json"
    save_calibration(calibration, path)
    return path


def saved_names() -> tuple[str, ...]:
    """The names under which calibrations are kept."""
    return tuple(sorted(path.stem for path in _folder().glob("*.json")))


def named_calibration(name: str) -> CalibrationFile:
    """The calibration of that name.

    Raises:
        UsageError: none was saved under it; says which there are.
        DatasetError: its file is damaged.
    """
    if name not in saved_names():
        known = ", ".join(saved_names()) or "none yet"
        raise UsageError(f"no calibration named {name!r}; there are: {known}")
    return load_calibration(_folder() / f"{name}.json")


def calibration_for(name: str, analyzer: Analyzer) -> CalibrationFile:
    """The calibration of that name, which must have been measured with these models.

    Raises:
        UsageError, DatasetError: see `named_calibration`.
        ModelMismatchError: it was measured with others.
    """
    calibration = named_calibration(name)
    if not _fits(calibration, analyzer):
        measured = " and ".join(calibration.cards)
        raise ModelMismatchError(
            f"the calibration {name} was measured with {measured} ({calibration.pack}), not with "
            f"{' and '.join(model_hashes(analyzer))} as they are now; calibrate again"
        )
    return calibration


def fitting_calibrations(analyzer: Analyzer) -> tuple[CalibrationFile, ...]:
    """Every saved calibration that was measured with these models; damaged ones are passed over."""
    found = []
    for name in saved_names():
        try:
            calibration = load_calibration(_folder() / f"{name}.json")
        except DatasetError:
            continue
        if _fits(calibration, analyzer):
            found.append(calibration)
    return tuple(found)


def model_hashes(analyzer: Analyzer, *, detector: bool = True) -> dict[str, str]:
    """What decides the similarities: the embedder's name and hash, and the detector's."""
    embedder = analyzer.embedder_card
    name = f"{embedder.id}+mirror" if analyzer.mirror else embedder.id
    hashes = {name: card_hash(embedder)}
    if detector:
        hashes[analyzer.detector_card.id] = card_hash(analyzer.detector_card)
    return hashes


def _fits(calibration: CalibrationFile, analyzer: Analyzer) -> bool:
    """Of aligned crops the embedder alone was measured; it then serves any detector."""
    both, alone = model_hashes(analyzer), model_hashes(analyzer, detector=False)
    return dict(calibration.cards) in (both, alone)


def _folder() -> Path:
    return settings.home() / "calibrations"
