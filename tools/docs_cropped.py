"""Block of docs/experiments/edge-of-the-image.md: see docs_measured.py."""

from __future__ import annotations

from typing import Any

from docs_results import NOT_YET, Results, table

__all__ = ["cropped"]

_POINT = 1e-3
"""FMR of the operating point that is shown."""


def cropped(results: Results) -> str:
    """What each detector finds in photographs that are cut close, and the errors that follow."""
    measured = results.get("cropped")
    if measured is None:
        return NOT_YET.format("cropped")
    detectors: dict[str, Any] = measured["detectors"]
    cuts = list(zip(*(side["cuts"] for side in detectors.values()), strict=True))
    head = ("cut", *detectors)
    found = [
        (row[0]["cut"], *(f"{each['found']:,}, {each['usable']:,}" for each in row)) for row in cuts
    ]
    error = [(row[0]["cut"], *(_shares(each) for each in row)) for row in cuts]
    rates = [(row[0]["cut"], *(_rates(each) for each in row)) for row in cuts]
    embedders = ", ".join(
        f"{name} with {side['embedder']} ({side['evidence'] or 'no'} points)"
        for name, side in detectors.items()
    )
    return (
        f"Of {measured['photographs']:,} photographs, found and usable:\n\n{table(head, found)}\n"
        "Distance of the landmarks from the reference's in the whole photograph, and from the "
        f"detector's own, in distances between the eyes:\n\n{table(head, error)}\n"
        f"FMR at the 1e-3 point and FNMR there, over all pairs of usable faces:\n\n"
        f"{table(head, rates)}\n{_interval(detectors)}\n{embedders} ({measured['date']}).\n"
    )


def _shares(cut: dict[str, Any]) -> str:
    if cut["landmark_error"] is None:
        return "no landmarks"
    return f"{100 * cut['landmark_error']:.1f}, {100 * cut['landmark_shift']:.1f} %"


def _rates(cut: dict[str, Any]) -> str:
    found = [point for point in cut["points"] if point["fmr"] == _POINT]
    if not found:
        return "no point"
    return f"{found[0]['fmr_found']:.1e}, {100 * found[0]['fnmr_found']:.1f} %"


def _interval(detectors: dict[str, Any]) -> str:
    """What the cards state of the point."""
    said = [
        f"{name} {point['low']:.1e} to {point['high']:.1e}"
        for name, side in detectors.items()
        for point in side["points"]
        if point["fmr"] == _POINT and side["evidence"] == "measured"
    ]
    return f"The cards' 95 % intervals of this FMR: {'; '.join(said)}.\n"
