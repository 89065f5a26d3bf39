from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faceprint.recognition.thresholds.fpir import search_point
from faceprint.recognition.thresholds.operating_points import known_points
from faceprint.types import OperatingPoint
from faceprint.video.track_rate import TrackRate, track_rate
from faceprint.zoo.catalog import get_card

RESULT = Path(__file__).parents[3] / "benchmarks" / "results" / "video_tracks.json"


@dataclass(frozen=True)
class Pair:
    """The models of an analyzer."""

    detector_card: Any
    embedder_card: Any
    mirror: bool = False


STARTER = Pair(get_card("mtcnn"), get_card("dlib-resnet"))
COPY = Pair(get_card("yunet-2023mar"), get_card("w600k-mbf"))


def searched(pair: Pair, templates: int = 100, fpir: float | None = None) -> OperatingPoint:
    known = known_points(pair.embedder_card, pair.detector_card)
    return search_point(known, templates, fpir)


@pytest.mark.parametrize(
    ("row", "pair", "evidence"),
    [
        ("starter", STARTER, "measured"),
        ("yunet-2023mar + w600k-mbf", COPY, "copy"),
        (
            "yunet-2023mar + w600k-mbf",
            Pair(get_card("yunet-2023mar"), SimpleNamespace(id="w600k-mbf-dequant")),
            "measured",
        ),
    ],
)
def test_the_figures_are_those_of_the_benchmark(row: str, pair: Pair, evidence: str) -> None:
    point = OperatingPoint(0.5, fpir=0.01, templates=100, evidence="measured")
    (found,) = track_rate(pair, point).measured_on
    result = json.loads(RESULT.read_text())
    side = result["rows"][row]
    rates = side["all_draws"]["tracks"]
    assert found.evidence == evidence and result["date"] in found.data_set
    assert (found.fpir, found.tpir) == (rates["fpir_mean"], rates["tpir_mean"])
    assert [found.fpir_lowest, found.fpir_highest] == rates["fpir_range"]
    assert found.threshold == side["threshold"]
    assert (found.fpir_asked, found.draws) == (result["fpir_asked"], result["draws"])
    assert f"{found.templates} people enrolled with one photograph" in result["protocol"]
    assert f"of {found.strangers} strangers" in result["protocol"]


def test_in_words() -> None:
    rate = track_rate(STARTER, searched(STARTER))
    assert rate.words == (
        "measured for tracks among 100 templates: FPIR 0.97 % for 1 % asked, TPIR 85.7 %"
    )
    assert track_rate(COPY, searched(COPY, 7)).words == (
        "measured for tracks on a copy of the weights among 100 templates (not among 7): "
        "FPIR 1.03 % for 1 % asked, TPIR 95.7 %"
    )


def test_as_json() -> None:
    line = track_rate(STARTER, searched(STARTER, 3)).to_dict()
    assert (line["fpir_asked"], line["fpir_per"], line["templates"]) == (0.01, "track", 3)
    assert [item["templates"] for item in line["measured_on"]] == [100]
    assert TrackRate(None, None).to_dict()["measured_on"] == []


def test_what_was_not_measured_is_not_claimed() -> None:
    other = Pair(get_card("scrfd-500m"), get_card("w600k-mbf"))
    given = OperatingPoint(0.5, evidence="given")
    calibrated = replace(searched(STARTER), evidence="calibrated")
    mirrored = replace(STARTER, mirror=True)
    for rate, why in (
        (track_rate(other, searched(other)), "nobody measured it for scrfd-500m with w600k-mbf"),
        (track_rate(STARTER, given), "the threshold was not chosen for one"),
        (track_rate(STARTER, calibrated), "the threshold is calibrated"),
        (track_rate(STARTER, searched(STARTER, 10, 1e-3)), "for FPIR 0.01, not for 0.001"),
        (track_rate(STARTER, searched(STARTER), 0.0), "the embedder's limit of quality"),
        (track_rate(mirrored, searched(STARTER)), "dlib-resnet with mirror images"),
    ):
        assert rate.measured_on == () and why in rate.reason
        assert rate.words == f"no error rate of tracks is known ({rate.reason})"
    published = Pair(get_card("mtcnn"), get_card("arcface-r100"))
    assert track_rate(published, searched(published)).fpir_asked is None


def test_an_extrapolated_threshold_keeps_the_rate_asked() -> None:
    point = searched(STARTER, 5000)
    assert "extrapolated" in point.name and (point.fpir, point.templates) == (0.01, 5000)
    assert "(not among 5000)" in track_rate(STARTER, point).words
