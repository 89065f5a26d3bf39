"""Which threshold decides, and on what evidence.

Operating points belong to a pair: the embedder, and the detector whose landmarks aligned the faces.
`known_points` is the one place that says what is known of a pair. Every command that decides asks
it, so that none cites an error rate that was measured with another pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from faceprint.errors import UnknownModelError, UsageError
from faceprint.types import Evidence, OperatingPoint
from faceprint.zoo.card import ModelCard
from faceprint.zoo.catalog import get_card

__all__ = ["DEFAULT_FMR", "KnownPoints", "choose_point", "known_points", "measured_points"]

DEFAULT_FMR = 1e-3
"""The false match rate that decides when nothing else is said: 1 in 1,000 non-mated pairs."""

_MEASURED: tuple[Evidence, ...] = ("measured", "copy")


@dataclass(frozen=True, slots=True)
class KnownPoints:
    """The thresholds that are known for an embedder and a detector.

    Attributes:
        points: loosest first. Borrowed points keep the rates of the pair that they were measured
            with, so that one can be chosen by its rate; `stated` takes these rates away.
        evidence: what stands behind all of them; None when there are none.
        model: the embedder, in words.
        detector: its id; empty when it is not known.
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
        """The point of this false match rate.

        None takes `DEFAULT_FMR`; where there is none, the next stricter point; else the strictest.

        Raises:
            UsageError: no point has that rate, or there are none.
        """
        wanted = DEFAULT_FMR if fmr is None else fmr
        for point in self.points:
            if point.fmr is not None and math.isclose(point.fmr, wanted, rel_tol=1e-6):
                return self.stated(point)
        if fmr is None and self.points:
            return self.stated(_nearest(self.points))
        raise UsageError(self.missing(fmr))

    def stated(self, point: OperatingPoint) -> OperatingPoint:
        """What may be said of a threshold that came of these points: no rates of another pair."""
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
        """For borrowed points: that nobody measured this pair, and whose threshold it is."""
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
        """Why there is no point for this rate, and what to do about it."""
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


def measured_points(card: ModelCard, detector: ModelCard | str) -> tuple[OperatingPoint, ...]:
    """The points that were measured for this embedder and this very detector; () when none were."""
    name = detector if isinstance(detector, str) else detector.id
    return tuple(
        entry.point
        for entry in card.operating_points
        if entry.detector == name and entry.point.evidence in _MEASURED
    )


def known_points(
    card: ModelCard, detector: ModelCard | str, *, mirrored: bool = False
) -> KnownPoints:
    """What is known of an embedder with a detector, the best evidence that there is.

    1. Points that were measured for the pair.
    2. Points that were measured with other detectors, where this one gives five landmarks as they
       do: borrowed, and of several points of one rate that with the highest threshold.
    3. A published threshold.

    A detector without landmarks gets neither borrowed points nor a published threshold: faces that
    are aligned from their box alone have other similarities.

    Args:
        detector: its card or its id; an empty id where it is not known which detector it was.
        mirrored: the embeddings are averaged with those of mirror images, which the card does not
            ask for: the card's points were measured without.
    """
    name = detector if isinstance(detector, str) else detector.id
    model = f"{card.id} with mirror images" if mirrored else card.id
    own = () if mirrored else measured_points(card, name)
    if own:
        # A card may hold both kinds for one pair; the weaker word then covers all of them.
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


def choose_point(
    card: ModelCard,
    detector: ModelCard | str,
    *,
    fmr: float | None = None,
    threshold: float | None = None,
    calibrated: Sequence[OperatingPoint] | None = None,
) -> OperatingPoint:
    """The operating point that decides.

    Args:
        fmr: false match rate, one that was measured for this model.
        threshold: cosine similarity given by the caller; 0.0 counts.
        calibrated: points of the user's own calibration, which stand in for the card's.

    Raises:
        UsageError: both are given, or out of range, or nothing was measured for what was asked.
    """
    if threshold is not None:
        if fmr is not None:
            raise UsageError("give fmr or threshold, not both")
        if not (math.isfinite(threshold) and -1 <= threshold <= 1):
            raise UsageError(f"threshold is {threshold}; a cosine similarity lies in -1..1")
        return OperatingPoint(
            threshold, name="given", source="given by the caller", evidence="given"
        )
    if fmr is not None and not 0 < fmr < 1:
        raise UsageError(f"fmr is {fmr}; a rate lies between 0 and 1, as 1e-3")
    if calibrated is not None:
        return KnownPoints(tuple(calibrated), "calibrated", card.id).choose(fmr)
    return known_points(card, detector).choose(fmr)


def _borrowed(card: ModelCard) -> tuple[tuple[OperatingPoint, ...], tuple[str, ...]]:
    """The highest threshold of each rate over all detectors with landmarks, and these detectors."""
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
    """The loosest point that is no looser than the default, else the strictest."""
    rated = sorted((p for p in points if p.fmr is not None), key=lambda p: -(p.fmr or 0))
    strict = [point for point in rated if (point.fmr or 0) <= DEFAULT_FMR]
    return (strict[:1] or rated[-1:] or list(points))[0]


def _gives_landmarks(detector: ModelCard | str) -> bool:
    """Whether it is known to give the five points; a detector without a card is not."""
    if isinstance(detector, str):
        try:
            detector = get_card(detector)
        except UnknownModelError:
            return False
    return detector.landmarks


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
