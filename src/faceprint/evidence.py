"""Describe in words how an operating point was measured."""

from __future__ import annotations

from faceprint.types import Measurement, OperatingPoint

__all__ = ["evidence_words"]


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
