"""The operating points of a card: read from its TOML, and as plain data again."""

from __future__ import annotations

from typing import cast

from faceprint.types import Evidence, Measurement, OperatingPoint
from faceprint.zoo.card import CardOperatingPoint
from faceprint.zoo.card_fields import Fields

__all__ = ["point_document", "read_point"]

_EVIDENCE = ("measured", "copy", "published")
_RATES = ("fmr", "fmr_low", "fmr_high", "fnmr")
_SHARES = ("fmr", "fmr_low", "fmr_high", "fnmr", "fnmr_low", "fnmr_high", "fnmr_by_person")


def read_point(table: Fields) -> CardOperatingPoint:
    """One `[[operating_points]]` table of a card.

    A published threshold may leave out the detector: it is used with every detector that gives
    five landmarks.

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
    """The point in the keys of its TOML; what has its default value is left out."""
    point = item.point
    document: dict[str, object] = {"detector": item.detector} if item.detector else {}
    for key in ("name", "threshold", *_RATES, "source"):
        _put(document, key, getattr(point, key))
    if point.evidence != "measured":
        document["evidence"] = point.evidence
    if point.measurements:
        document["measured_on"] = [_measurement_document(each) for each in point.measurements]
    return document


def _measurement(table: Fields) -> Measurement:
    fmr = _share(table, "fmr")
    if fmr is None:
        raise table.fail("fmr", "is missing")
    found = Measurement(
        data_set=table.text("data_set"),
        fmr=fmr,
        fmr_low=_share(table, "fmr_low"),
        fmr_high=_share(table, "fmr_high"),
        fnmr=_share(table, "fnmr"),
        fnmr_low=_share(table, "fnmr_low"),
        fnmr_high=_share(table, "fnmr_high"),
        fnmr_by_person=_share(table, "fnmr_by_person"),
        group=table.text("group", ""),
        group_fmr=_share(table, "group_fmr"),
    )
    table.done()
    if bool(found.group) != (found.group_fmr is not None):
        raise table.fail("group", "and group_fmr come together")
    return found


def _measurement_document(item: Measurement) -> dict[str, object]:
    document: dict[str, object] = {}
    for key in ("data_set", *_SHARES, "group", "group_fmr"):
        _put(document, key, getattr(item, key))
    return document


def _share(table: Fields, key: str) -> float | None:
    value = table.optional_number(key)
    if value is not None and not 0.0 <= value <= 1.0:
        raise table.fail(key, "is a share and lies between 0 and 1")
    return value


def _put(document: dict[str, object], key: str, value: object) -> None:
    if value is not None and value != "":
        document[key] = value
