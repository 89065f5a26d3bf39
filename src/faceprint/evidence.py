"""What stands behind an operating point, as JSON values and in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from faceprint.types import Measurement, OperatingPoint

__all__ = ["evidence_json", "evidence_words", "measured_on"]


def measured_on(point: OperatingPoint) -> tuple[Measurement, ...]:
    """The error rates of the threshold on each data set; empty when nobody measured it.

    A point that names no data set by itself was measured on what its source says.
    """
    if point.measurements or point.fmr is None or point.evidence == "given" or point.provisional:
        return point.measurements
    return (
        Measurement(
            point.source or point.name, point.fmr, point.fmr_low, point.fmr_high, point.fnmr
        ),
    )


def evidence_json(point: OperatingPoint) -> dict[str, Any]:
    """The keys `evidence`, `provisional`, `measured_on` and `source` of a JSON answer."""
    return {
        "evidence": point.evidence,
        "provisional": point.provisional,
        "measured_on": [asdict(item) for item in measured_on(point)],
        "source": point.source,
    }


def evidence_words(point: OperatingPoint) -> str:
    """One line: the rate that the threshold keeps and where that was measured, or that it was not.

    The line names the group of people with the highest FMR on each data set, where it is known.
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
