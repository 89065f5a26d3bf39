"""What contradicts itself in the operating points of a card."""

from __future__ import annotations

from faceprint.types import OperatingPoint
from faceprint.zoo.card import ModelCard

__all__ = ["has_measured_points", "point_problems"]

_ROUNDING = 1.01
"""Cards hold three digits of a rate."""


def has_measured_points(card: ModelCard) -> bool:
    """Whether the error rates of a point are known: a published threshold has none."""
    return any(item.point.evidence != "published" for item in card.operating_points)


def point_problems(card: ModelCard) -> list[str]:
    """A sentence for each contradiction: rates outside their interval, or a false match rate that
    the point does not keep on one of its own data sets."""
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
