"""The operating points known for an embedder and a detector, and the evidence behind them.

Operating points belong to a pair of models: the embedder, and the detector whose landmarks aligned
the faces. Every command that decides uses `known_points`, so that none states an error rate that
was measured with another pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from faceprint.errors import UnknownModelError, UsageError
from faceprint.types import Evidence, OperatingPoint
from faceprint.zoo.card import ModelCard
from faceprint.zoo.catalog import get_card

__all__ = ["DEFAULT_FMR", "KnownPoints", "check_threshold", "known_points", "measured_points"]

DEFAULT_FMR = 1e-3
"""The default false match rate: 1 in 1,000 non-mated pairs."""

_MEASURED: tuple[Evidence, ...] = ("measured", "copy")


@dataclass(frozen=True, slots=True)
class KnownPoints:
    """The thresholds that are known for an embedder and a detector.

    Attributes:
        points: loosest first. Borrowed points keep the rates of the pair that they were measured
            with, so that one can be chosen by its rate; `stated` removes these rates.
        evidence: of all points; None when there are none.
        model: the embedder, for messages.
        detector: its id; empty when it is unknown.
        lenders: the detectors that borrowed points were measured with.
        reason: why there are no points, for messages.
    """

    points: tuple[OperatingPoint, ...]
    evidence: Evidence | None
    model: str
    detector: str = ""
    lenders: tuple[str, ...] = ()
    reason: str = ""

    @property
    def provisional(self) -> bool:
        """Whether nobody measured the thresholds for this pair."""
        return self.evidence in ("borrowed", "published")

    def choose(self, fmr: float | None = None) -> OperatingPoint:
        """The point with this false match rate.

        None means `DEFAULT_FMR`; if no point has it, the next stricter, else the strictest point.

        Raises:
            UsageError: no point has that rate, or there are none.
        """
        rate = DEFAULT_FMR if fmr is None else fmr
        for point in self.points:
            if point.fmr is not None and math.isclose(point.fmr, rate, rel_tol=1e-6):
                return self.stated(point)
        if fmr is None and self.points:
            return self.stated(_nearest(self.points))
        raise UsageError(self.missing(fmr))

    def stated(self, point: OperatingPoint) -> OperatingPoint:
        """The point without rates that were measured with another pair of models."""
        if self.evidence != "borrowed":
            return point
        return replace(
            point,
            fmr=None,
            fmr_low=None,
            fmr_high=None,
            fnmr=None,
            name=f"{point.name}, borrowed from {_listed(self.lenders)}".removeprefix(", "),
            source=self.words,
            evidence="borrowed",
            measurements=(),
        )

    @property
    def words(self) -> str:
        """For borrowed points: nobody measured this pair, and which pair the threshold is from."""
        whose = f"measured with {_listed(self.lenders)}"
        highest = ", the highest of theirs" if len(self.lenders) > 1 else ""
        if not self.detector:
            return f"it is not known which detector found the faces; the threshold was {whose}" + (
                highest
            )
        return (
            f"nobody measured {self.model} with {self.detector}; the threshold was {whose}{highest}"
        )

    def missing(self, fmr: float | None = None) -> str:
        """Why there is no point at this rate, and what to do about it."""
        advice = "faceprint calibrate"
        if not self.points:
            return (
                f"no threshold was measured for {self.model}{self.reason}; give --threshold, or "
                f"measure one on your own photographs: {advice}"
            )
        if self.evidence == "published":
            return (
                f"no threshold was measured for {self.model}"
                f"{'' if fmr is None else f' at FMR {fmr:g}'}; the published one, "
                f"{self.points[0].threshold:g}, comes without a false match rate. {advice} "
                "measures on your own photographs"
            )
        rates = [f"{point.fmr:g}" for point in self.points if point.fmr is not None]
        return (
            f"no threshold was measured for {self.model} at FMR {fmr:g}; there are: "
            f"{', '.join(rates) or 'none'}. {advice} measures more on your own photographs"
        )


def check_threshold(threshold: float) -> float:
    """Refuse a threshold that is no cosine similarity.

    Raises:
        UsageError: outside -1..1, or NaN.
    """
    if not -1 <= threshold <= 1:
        raise UsageError(f"threshold is {threshold}; a cosine similarity lies in -1..1")
    return threshold


def measured_points(card: ModelCard, detector: ModelCard | str) -> tuple[OperatingPoint, ...]:
    """The points measured for this embedder and exactly this detector; () when there are none."""
    name = detector if isinstance(detector, str) else detector.id
    return tuple(
        entry.point
        for entry in card.operating_points
        if entry.detector == name and entry.point.evidence in _MEASURED
    )


def known_points(
    card: ModelCard, detector: ModelCard | str, *, mirrored: bool = False
) -> KnownPoints:
    """The points with the best evidence for an embedder and a detector.

    1. Points measured for the pair.
    2. Points measured with other detectors that give five landmarks, if this one does too. They are
       borrowed; of several points at one rate, the one with the highest threshold.
    3. A published threshold.

    A detector without landmarks gets neither borrowed points nor a published threshold: faces
    aligned from their box alone have other similarities.

    Args:
        detector: its card or its id; an empty id when the detector is unknown.
        mirrored: embeddings are averaged with those of mirror images; the card's points were
            measured without.
    """
    name = detector if isinstance(detector, str) else detector.id
    model = f"{card.id} with mirror images" if mirrored else card.id
    own = () if mirrored else measured_points(card, name)
    if own:
        # A card may hold both kinds for one pair; the weaker evidence then covers all of them.
        copied = any(point.evidence == "copy" for point in own)
        return KnownPoints(own, "copy" if copied else "measured", model, name)
    if name and not _gives_landmarks(detector):
        reason = (
            f" with {name}, which gives no landmarks: a face is then aligned from its box, and "
            "thresholds that were measured with landmarks do not hold"
        )
        return KnownPoints((), None, model, name, reason=reason)
    points, lenders = _borrowed(card)
    if points:
        return KnownPoints(points, "borrowed", model, name, lenders)
    published = tuple(
        entry.point for entry in card.operating_points if entry.point.evidence == "published"
    )
    return KnownPoints(published, "published" if published else None, model, name)


def _borrowed(card: ModelCard) -> tuple[tuple[OperatingPoint, ...], tuple[str, ...]]:
    """The highest threshold at each rate over all detectors with landmarks, and these detectors."""
    strictest: dict[float, OperatingPoint] = {}
    lenders: list[str] = []
    for name in dict.fromkeys(entry.detector for entry in card.operating_points):
        points = measured_points(card, name)
        if not points or not _gives_landmarks(name):
            continue
        lenders.append(name)
        for point in points:
            if point.fmr is None:
                continue
            known = strictest.get(point.fmr)
            if known is None or known.threshold < point.threshold:
                strictest[point.fmr] = point
    points = tuple(strictest[rate] for rate in sorted(strictest, reverse=True))
    return points, tuple(lenders)


def _nearest(points: Sequence[OperatingPoint]) -> OperatingPoint:
    """The loosest point at the default rate or a stricter one; else the strictest point."""
    rated = sorted((p for p in points if p.fmr is not None), key=lambda p: -(p.fmr or 0))
    strict = [point for point in rated if (point.fmr or 0) <= DEFAULT_FMR]
    return (strict[:1] or rated[-1:] or list(points))[0]


def _gives_landmarks(detector: ModelCard | str) -> bool:
    """Whether its card says that it gives five landmarks; False without a card."""
    if isinstance(detector, str):
        try:
            detector = get_card(detector)
        except UnknownModelError:
            return False
    return detector.landmarks


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
