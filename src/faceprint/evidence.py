"""Describe how an operating point was measured, as JSON values and as one line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from faceprint.types import Measurement, OperatingPoint

__all__ = ["evidence_json", "evidence_words", "measured_on"]


def measured_on(point: OperatingPoint) -> tuple[Measurement, ...]:
    """Return the threshold's error rates by data set; empty if it was not measured.

    A measured point without a named data set takes the name from its source.
    """
    if point.measurements or point.fmr is None or point.evidence == "given" or point.provisional:
        return point.measurements
    return (
        Measurement(
            point.source or point.name, point.fmr, point.fmr_low, point.fmr_high, point.fnmr
        ),
    )


def evidence_json(point: OperatingPoint) -> dict[str, Any]:
    """Return the keys `evidence`, `provisional`, `measured_on` and `source` of a JSON answer."""
    return {
        "evidence": point.evidence,
        "provisional": point.provisional,
        "measured_on": [asdict(item) for item in measured_on(point)],
        "source": point.source,
    }


def evidence_words(point: OperatingPoint) -> str:
    """Describe in one line which error rate the threshold keeps, and on what data.

    The line names the group of people with the highest FMR on each data set, if it is known.
    """
    if point.evidence == "given":
        return f"threshold: {point.source}"
    if point.evidence == "published":
        return f"{point.name}, {point.source}; not measured here: provisional"
    if point.evidence == "borrowed":
        return f"{point.source}: provisional"
    rate = f"decided at FMR {point.fmr:g}" if point.fmr is not None else "decided"
    copy = "on a copy of the weights, " if point.evidence == "copy" else ""
    if point.measurements and point.evidence != "calibrated":
        return f"{rate}, measured {copy}on {' and '.join(map(_data_set, point.measurements))}"
    return f"{rate} ({point.source})" if point.source else rate


def _data_set(item: Measurement) -> str:
    rates = [f"FMR {item.fmr:.2g}"]
    if item.group_fmr is not None:
        rates.append(f"between {item.group} {item.group_fmr:.2g}")
    if item.fnmr is not None:
        rates.append(f"FNMR {100 * item.fnmr:.2g} %")
    return f"{item.data_set} ({', '.join(rates)})"
