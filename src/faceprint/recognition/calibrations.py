"""Calibrations by name, under FACEPRINT_HOME/calibrations, and which models they hold for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceprint import settings
from faceprint.errors import DatasetError, ModelMismatchError, UsageError
from faceprint.recognition.calibration_file import (
    CalibrationFile,
    load_calibration,
    save_calibration,
)
from faceprint.recognition.operating import DEFAULT_FMR, choose_point
from faceprint.types import OperatingPoint
from faceprint.zoo.card_io import card_hash

if TYPE_CHECKING:
    from faceprint.vision.pipeline import FacePrint

__all__ = [
    "Decision",
    "calibration_for",
    "decide_by",
    "fitting_calibrations",
    "keep_calibration",
    "model_hashes",
    "named_calibration",
    "saved_names",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """The point that decides, and the calibration that it comes from, if any."""

    point: OperatingPoint
    calibration: CalibrationFile | None = None


def decide_by(
    analyzer: FacePrint,
    *,
    fmr: float | None = None,
    threshold: float | None = None,
    calibration: str | None = None,
) -> Decision:
    """Which threshold decides for these models.

    A named calibration, else the card's own points; where the card has none for `fmr`, the one
    saved calibration of these models that has it.

    Raises:
        UsageError: no such name, nothing measured for `fmr`, several calibrations that could be
            meant, or a threshold and another rule.
        ModelMismatchError: the named calibration was measured with other models.
    """
    card, detector = analyzer.embedder_card, analyzer.detector_card.id
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
    try:
        return Decision(choose_point(card, detector, fmr=fmr, threshold=threshold))
    except UsageError:
        wanted = DEFAULT_FMR if fmr is None else fmr
        having = [] if threshold is not None else _having(analyzer, wanted)
        if not having:
            raise
        if len(having) > 1:
            names = ", ".join(found.name for found in having)
            raise UsageError(
                f"several calibrations have a point at FMR {wanted:g}; say which: {names}"
            ) from None
        point = choose_point(card, detector, fmr=wanted, calibrated=having[0].points)
        return Decision(point, having[0])


def _having(analyzer: FacePrint, fmr: float) -> list[CalibrationFile]:
    return [
        calibration
        for calibration in fitting_calibrations(analyzer)
        if any(p.fmr is not None and math.isclose(p.fmr, fmr) for p in calibration.points)
    ]


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


def calibration_for(name: str, analyzer: FacePrint) -> CalibrationFile:
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


def fitting_calibrations(analyzer: FacePrint) -> tuple[CalibrationFile, ...]:
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


def model_hashes(analyzer: FacePrint, *, detector: bool = True) -> dict[str, str]:
    """What decides the similarities: the embedder's name and hash, and the detector's."""
    embedder = analyzer.embedder_card
    name = f"{embedder.id}+mirror" if analyzer.mirror else embedder.id
    hashes = {name: card_hash(embedder)}
    if detector:
        hashes[analyzer.detector_card.id] = card_hash(analyzer.detector_card)
    return hashes


def _fits(calibration: CalibrationFile, analyzer: FacePrint) -> bool:
    """Of aligned crops the embedder alone was measured; it then serves any detector."""
    both, alone = model_hashes(analyzer), model_hashes(analyzer, detector=False)
    return dict(calibration.cards) in (both, alone)


def _folder() -> Path:
    return settings.home() / "calibrations"
