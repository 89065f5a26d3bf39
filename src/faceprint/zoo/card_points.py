"""The operating points of a card: read them from TOML, write them, find contradictions."""

from __future__ import annotations

from typing import cast

from faceprint.types import Evidence, Measurement, OperatingPoint
from faceprint.zoo.card import CardOperatingPoint, ModelCard
from faceprint.zoo.card_fields import Fields, without_empty

__all__ = ["has_measured_points", "point_document", "point_problems", "read_point"]

_EVIDENCE = ("measured", "copy", "published")
_RATES = ("fmr", "fmr_low", "fmr_high", "fnmr")
_MEASURED = (*_RATES, "fnmr_low", "fnmr_high", "fnmr_by_person", "group_fmr")
_ROUNDING = 1.01
"""Cards hold three digits of a rate."""


def read_point(table: Fields) -> CardOperatingPoint:
    """Read one `[[operating_points]]` table of a card.

    A published threshold needs no detector: it is used with every detector of five landmarks.

    Raises:
        CardError: a key is missing or unknown, or a value is out of range; a published threshold
            that claims error rates; two measurements on one data set.
    """
    evidence = cast("Evidence", table.choice("evidence", _EVIDENCE, "measured"))
    detector = table.text("detector", "" if evidence == "published" else None)
    point = OperatingPoint(
        threshold=table.number("threshold"),
        fmr=_share(table, "fmr"),
        fmr_low=_share(table, "fmr_low"),
        fmr_high=_share(table, "fmr_high"),
        fnmr=_share(table, "fnmr"),
        name=table.text("name", ""),
        source=table.text("source"),
        evidence=evidence,
        measurements=tuple(_measurement(item) for item in table.tables("measured_on")),
    )
    table.done()
    if not -1.0 <= point.threshold <= 1.0:
        raise table.fail("threshold", "is a cosine similarity and lies between -1 and 1")
    if evidence == "published":
        claimed = [key for key in _RATES if getattr(point, key) is not None]
        if claimed or point.measurements:
            key = claimed[0] if claimed else "measured_on"
            raise table.fail(key, "does not go with a threshold that was published, not measured")
    names = [item.data_set for item in point.measurements]
    if len(set(names)) != len(names):
        raise table.fail("measured_on", "names one data set twice")
    return CardOperatingPoint(detector, point)


def point_document(item: CardOperatingPoint) -> dict[str, object]:
    """Return the point as a table of TOML, without default values."""
    point = item.point
    document: dict[str, object] = {"detector": item.detector} if item.detector else {}
    document |= without_empty(point, ("name", "threshold", *_RATES, "source"))
    if point.evidence != "measured":
        document["evidence"] = point.evidence
    if point.measurements:
        keys = ("data_set", *_MEASURED[:-1], "group", "group_fmr")
        document["measured_on"] = [without_empty(each, keys) for each in point.measurements]
    return document


def has_measured_points(card: ModelCard) -> bool:
    """Whether the card has a point with known error rates; a published threshold has none."""
    return any(item.point.evidence != "published" for item in card.operating_points)


def point_problems(card: ModelCard) -> list[str]:
    """List the contradictions in a card's points, one sentence each.

    These are rates outside their interval, and data sets on which a point misses its FMR.
    """
    problems = []
    for item in card.operating_points:
        name = f"{item.point.name or item.point.threshold} with {item.detector or 'any detector'}"
        problems += [f"{name}: {text}" for text in _contradictions(item.point)]
    return problems


def _contradictions(point: OperatingPoint) -> list[str]:
    found = []
    if point.fmr is not None:
        low, high = point.fmr_low or 0.0, 1.0 if point.fmr_high is None else point.fmr_high
        if not low / _ROUNDING <= point.fmr <= high * _ROUNDING:
            found.append(f"fmr {point.fmr:g} is outside of {low:g} to {high:g}")
    for item in point.measurements:
        if point.fmr is None:
            found.append(f"measured on {item.data_set}, but the point has no fmr")
        elif item.fmr > point.fmr * _ROUNDING:
            found.append(f"fmr {point.fmr:g}, but {item.fmr:g} on {item.data_set}")
    return found


def _measurement(table: Fields) -> Measurement:
    rates = {key: _share(table, key) for key in _MEASURED}
    fmr = rates.pop("fmr")
    if fmr is None:
        raise table.fail("fmr", "is missing")
    data_set, group = table.text("data_set"), table.text("group", "")
    found = Measurement(data_set=data_set, fmr=fmr, group=group, **rates)
    table.done()
    if bool(found.group) != (found.group_fmr is not None):
        raise table.fail("group", "and group_fmr come together")
    return found


def _share(table: Fields, key: str) -> float | None:
    value = table.optional_number(key)
    if value is not None and not 0.0 <= value <= 1.0:
        raise table.fail(key, "is a share and lies between 0 and 1")
    return value
