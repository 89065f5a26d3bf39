"""What this machine holds: packs, models and calibrations by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faceprint.errors import FaceprintError

if TYPE_CHECKING:
    from faceprint.recognition.thresholds.calibration_file import CalibrationFile

__all__ = ["calibration_line", "installed"]


def installed() -> dict[str, list[dict[str, Any]]]:
    """`packs` with whether their models are here, the models that are here, and `calibrations`.

    A model or calibration whose file is damaged has `error`.
    """
    from faceprint.recognition.thresholds.saved_calibrations import saved_calibrations
    from faceprint.zoo import catalog, packs, store

    here: dict[str, dict[str, Any]] = {}
    for name in catalog.card_ids():
        try:
            card = catalog.get_card(name)
            if store.is_ready(card):
                here[name] = {"id": name, "task": card.task, "origin": card.origin}
        except FaceprintError as error:
            here[name] = {"id": name, "task": None, "origin": None, "error": str(error)}
    ready = {name for name, line in here.items() if "error" not in line}
    return {
        "packs": [
            {"name": pack.name, "ready": {pack.detector, pack.embedder} <= ready}
            for pack in packs.all_packs()
        ],
        "installed": list(here.values()),
        "calibrations": [calibration_line(name, saved) for name, saved in saved_calibrations()],
    }


def calibration_line(name: str, saved: CalibrationFile | None) -> dict[str, Any]:
    """A calibration in JSON: name, date, pack, models, points; None for a damaged file."""
    if saved is None:
        return {"name": name, "error": "its file is damaged; calibrate again"}
    return {
        "name": name,
        "date": str(saved.provenance.get("date", "")) or None,
        "pack": saved.pack,
        "models": list(saved.cards),
        "points": [{"fmr": point.fmr, "threshold": point.threshold} for point in saved.points],
    }
