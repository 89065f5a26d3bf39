"""Calibrations saved by name under FACEPRINT_HOME, and the models each was measured with."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from faceprint import settings
from faceprint._suggest import unknown_name
from faceprint.errors import DatasetError, ModelMismatchError, UsageError
from faceprint.recognition.thresholds.calibration_file import (
    CalibrationFile,
    load_calibration,
    save_calibration,
)
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_io import card_hash

__all__ = [
    "Models",
    "calibration_for",
    "keep_calibration",
    "matching_calibrations",
    "model_hashes",
    "saved_calibrations",
    "saved_names",
]


class Models(Protocol):
    """The models that decide the similarities; an analyzer has them."""

    @property
    def embedder_card(self) -> ModelCard:
        """The embedder."""

    @property
    def detector_card(self) -> ModelCard:
        """The detector, whose landmarks align the faces."""

    @property
    def mirror(self) -> bool:
        """Whether embeddings are averaged with those of the mirror image."""


def keep_calibration(calibration: CalibrationFile) -> Path:
    """Save under its name, replacing an older one of that name; returns the file."""
    path = _folder() / f"{calibration.name}.json"
    save_calibration(calibration, path)
    return path


def saved_names() -> tuple[str, ...]:
    """The names of all saved calibrations."""
    return tuple(sorted(path.stem for path in _folder().glob("*.json")))


def saved_calibrations() -> tuple[tuple[str, CalibrationFile | None], ...]:
    """Every saved calibration with its name; None for a damaged file."""
    return tuple((name, _load(name)) for name in saved_names())


def _load(name: str) -> CalibrationFile | None:
    try:
        return load_calibration(_folder() / f"{name}.json")
    except DatasetError:
        return None


def calibration_for(name: str, models: Models) -> CalibrationFile:
    """Load the calibration of that name, which must have been measured with these models.

    Raises:
        UsageError: no calibration was saved under that name; says which there are.
        DatasetError: its file is damaged.
        ModelMismatchError: it was measured with other models.
    """
    names = saved_names()
    if name not in names:
        there = f"there are: {', '.join(names) or 'none yet'}"
        raise UsageError(unknown_name("calibration", name, names, there))
    calibration = load_calibration(_folder() / f"{name}.json")
    if not _matches(calibration, models):
        measured = " and ".join(calibration.cards)
        raise ModelMismatchError(
            f"the calibration {name} was measured with {measured} ({calibration.pack}), not with "
            f"{' and '.join(model_hashes(models))} as they are now; calibrate again"
        )
    return calibration


def matching_calibrations(models: Models) -> tuple[CalibrationFile, ...]:
    """Every saved calibration that was measured with these models; damaged files are skipped."""
    return tuple(saved for _, saved in saved_calibrations() if saved and _matches(saved, models))


def model_hashes(models: Models, *, detector: bool = True) -> dict[str, str]:
    """The card hashes of the embedder and the detector, by card id."""
    embedder = models.embedder_card
    name = f"{embedder.id}+mirror" if models.mirror else embedder.id
    hashes = {name: card_hash(embedder)}
    if detector:
        hashes[models.detector_card.id] = card_hash(models.detector_card)
    return hashes


def _matches(calibration: CalibrationFile, models: Models) -> bool:
    """A calibration on aligned crops names the embedder alone and holds for any detector."""
    both, embedder = model_hashes(models), model_hashes(models, detector=False)
    return dict(calibration.cards) in (both, embedder)


def _folder() -> Path:
    return settings.home() / "calibrations"
