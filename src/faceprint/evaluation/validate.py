"""Compares a card's published figures with measured ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from faceprint.evaluation.intervals import wilson
from faceprint.evaluation.result import EvaluationResult
from faceprint.zoo.card import PublishedFigure

__all__ = ["Comparison", "compare_published", "data_set_name"]

_KNOWN = {
    "lfw": "LFW",
    "cfpff": "CFP-FF",
    "cfpfp": "CFP-FP",
    "agedb30": "AgeDB-30",
    "calfw": "CALFW",
    "cplfw": "CPLFW",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published figure and the measured one.

    Attributes:
        measured: None where this data cannot give that figure; `low`, `high`: its interval (95 %,
            Wilson's over pairs).
        agrees: the published value lies in the interval; None where nothing was measured.
    """

    published: PublishedFigure
    measured: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def agrees(self) -> bool | None:
        """See the class."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.published.value <= self.high

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        figure = self.published
        return {
            "protocol": figure.protocol,
            "metric": figure.metric,
            "published": figure.value,
            "source": figure.source,
            "measured": self.measured,
            "low": self.low,
            "high": self.high,
            "agrees": self.agrees,
        }


def data_set_name(name: str) -> str:
    """The name in cards of a data set with this folder or file name: `CFP-FP` for `cfp_fp`."""
    return _KNOWN.get(_plain(name), name)


def compare_published(
    published: Sequence[PublishedFigure], result: EvaluationResult, protocol: str
) -> tuple[Comparison, ...]:
    """Compare every published figure with a measurement on the data set `protocol`.

    An accuracy is compared where its protocol begins with that name, as "LFW, 6,000 pairs" does
    with LFW; other figures come out as not measured.
    """
    found = []
    for figure in published:
        same = _plain(figure.protocol.partition(",")[0]) == _plain(protocol)
        if not same or figure.metric != "accuracy" or result.accuracy is None:
            found.append(Comparison(figure))
            continue
        low, high = wilson(round(result.accuracy * result.pairs), result.pairs)
        found.append(Comparison(figure, result.accuracy, low, high))
    return tuple(found)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
