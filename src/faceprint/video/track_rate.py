"""What is known about how often a stranger's track is taken for somebody of the gallery.

A threshold comes with the error rates of single faces. A track is decided by the mean of several,
so its rate is another one, and it was measured for some models only (benchmarks/video_tracks.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from faceprint.recognition.thresholds.saved_calibrations import Models
from faceprint.types import OperatingPoint

__all__ = ["TrackMeasurement", "TrackRate", "track_rate"]

_DATA_SET = "clips made from photographs of LFW and FaceScrub, 2026-11-29"
_SAME_RATE = 1e-9


@dataclass(frozen=True, slots=True)
class TrackMeasurement:
    """The error rates of tracks, measured with one pair of models; means over `draws` draws.

    Attributes:
        data_set: the data set's name.
        evidence: "measured" with these weights, or on a "copy" made from the publisher's.
        threshold: the one that decided: for `fpir_asked`, from points of other people than those in
            the clips.
        fpir_asked: the FPIR that the threshold was chosen for.
        fpir: the share of strangers' tracks that matched somebody.
        fpir_lowest, fpir_highest: of a single draw.
        tpir: the share of enrolled people's tracks that got the right name.
        templates: people enrolled, with one photograph each.
        strangers: tracks of strangers in each draw.
        draws: how often people were drawn.
    """

    data_set: str
    evidence: Literal["measured", "copy"]
    threshold: float
    fpir_asked: float
    fpir: float
    fpir_lowest: float
    fpir_highest: float
    tpir: float
    templates: int
    strangers: int
    draws: int


@dataclass(frozen=True, slots=True)
class TrackRate:
    """The FPIR asked of a search by tracks, and what was measured of it.

    Attributes:
        fpir_asked: the share of strangers' tracks that may match somebody; None if the threshold
            was not chosen for a rate.
        templates: the size of the gallery that the threshold was chosen for.
        measured_on: the measurements with these models at the rate asked, each with the size of its
            gallery; empty if nobody measured it.
        reason: why it is empty.
    """

    fpir_asked: float | None
    templates: int | None
    measured_on: tuple[TrackMeasurement, ...] = ()
    reason: str = ""

    @property
    def words(self) -> str:
        """One line: what was measured of tracks, or that nothing was."""
        if not self.measured_on:
            return f"no error rate of tracks is known ({self.reason})"
        return "; ".join(self._found(item) for item in self.measured_on)

    def to_dict(self) -> dict[str, Any]:
        """What a line of `video --json` says about the rate."""
        return {
            "fpir_asked": self.fpir_asked,
            "fpir_per": None if self.fpir_asked is None else "track",
            "templates": self.templates,
            "measured_on": [asdict(item) for item in self.measured_on],
        }

    def _found(self, item: TrackMeasurement) -> str:
        copy = " on a copy of the weights" if item.evidence == "copy" else ""
        size = f"among {item.templates} templates"
        if item.templates != self.templates:
            size += f" (not among {self.templates})"
        return (
            f"measured for tracks{copy} {size}: FPIR {100 * item.fpir:.2f} % for "
            f"{100 * item.fpir_asked:g} % asked, TPIR {100 * item.tpir:.1f} %"
        )


def _measured(
    evidence: Literal["measured", "copy"], threshold: float, fpir: float, tpir: float
) -> TrackMeasurement:
    return TrackMeasurement(
        _DATA_SET, evidence, threshold, 0.01, fpir, 0.0, 0.025, tpir, 100, 200, 50
    )


_MEASURED = {
    ("mtcnn", "dlib-resnet"): _measured("measured", 0.9462, 0.0097, 0.8568),
    ("yunet-2023mar", "w600k-mbf"): _measured("copy", 0.3449, 0.0103, 0.9572),
    ("yunet-2023mar", "w600k-mbf-dequant"): _measured("measured", 0.3449, 0.0103, 0.9572),
}
"""By detector and embedder: the rows of benchmarks/results/video_tracks.json."""


def track_rate(
    models: Models, point: OperatingPoint, min_quality: float | None = None
) -> TrackRate:
    """What is known of the FPIR of tracks for these models and the point that decides.

    A measurement counts only for what it was made with: the pair of models without mirror images,
    an operating point of this pair from the card, the embedder's own limit of quality, and the rate
    asked. The size of the gallery may differ, since the threshold is chosen for it; `words` says so
    then.

    Args:
        models: an analyzer.
        point: what decides (`Gallery.operating_point`).
        min_quality: as in `VideoOptions`.
    """
    pair = models.detector_card.id, models.embedder_card.id
    item, reason = _MEASURED.get(pair), ""
    if point.fpir is None:
        reason = "the threshold was not chosen for one"
    elif item is None or models.mirror:
        mirrored = " with mirror images" if models.mirror else ""
        reason = f"nobody measured it for {pair[0]} with {pair[1]}{mirrored}"
    elif point.evidence not in ("measured", "copy"):
        reason = f"the threshold is {point.evidence}, and it was measured with the card's"
    elif abs(point.fpir - item.fpir_asked) > _SAME_RATE:
        reason = f"it was measured for FPIR {item.fpir_asked:g}, not for {point.fpir:g}"
    elif min_quality is not None:
        reason = "it was measured with the embedder's limit of quality"
    found = () if reason or item is None else (item,)
    return TrackRate(point.fpir, point.templates, found, reason)
