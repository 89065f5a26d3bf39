"""The evidence behind a threshold, in one line and as JSON."""

from __future__ import annotations

from typing import Any

import pytest

from faceprint.evidence import evidence_words
from faceprint.recognition.thresholds.default_threshold import given_point
from faceprint.recognition.thresholds.operating_points import known_points
from faceprint.types import Measurement, OperatingPoint
from faceprint.zoo.catalog import get_card


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


LFW = Measurement("LFW", 9e-4, fnmr=0.05, group="two women", group_fmr=0.0034)
SCRUB = Measurement("FaceScrub", 1e-3, 8e-4, 1.3e-3, 0.07)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (
            OperatingPoint(0.3, 1e-3, source="r", measurements=(LFW, SCRUB)),
            "decided at FMR 0.001, measured on LFW (FMR 0.0009, between two women 0.0034, FNMR 5 %)"
            " and FaceScrub (FMR 0.001, FNMR 7 %)",
        ),
        (
            OperatingPoint(0.3, 1e-3, source="r", evidence="copy", measurements=(SCRUB,)),
            "decided at FMR 0.001, measured on a copy of the weights, on FaceScrub "
            "(FMR 0.001, FNMR 7 %)",
        ),
        (OperatingPoint(0.3, 1e-3, source="in a test"), "decided at FMR 0.001 (in a test)"),
        (
            OperatingPoint(
                0.5, name="published threshold 0.5", source="by X", evidence="published"
            ),
            "published threshold 0.5, by X; not measured here: provisional",
        ),
        (
            OperatingPoint(0.5, source="nobody measured a with b", evidence="borrowed"),
            "nobody measured a with b: provisional",
        ),
        (
            given_point(0.2),
            "threshold: given by the caller",
        ),
    ],
)
def test_evidence_in_one_line(point: OperatingPoint, words: str) -> None:
    assert evidence_words(point) == words


def test_evidence_as_json() -> None:
    both = OperatingPoint(0.3, 1e-3, source="r", measurements=(LFW, SCRUB)).to_dict()
    assert [row["data_set"] for row in both["measured_on"]] == ["LFW", "FaceScrub"]
    assert both["measured_on"][0]["group_fmr"] == 0.0034
    assert (both["evidence"], both["provisional"], both["source"]) == ("measured", False, "r")
    old = OperatingPoint(0.3, 1e-3, 5e-4, 2e-3, 0.1, source="LFW: r.json").to_dict()
    assert old["measured_on"][0]["data_set"] == "LFW: r.json"
    assert old["measured_on"][0]["fmr_high"] == 2e-3
    lent = known_points(get_card("mobileface"), "scrfd-500m").choose().to_dict()
    assert (lent["measured_on"], lent["provisional"]) == ([], True)
