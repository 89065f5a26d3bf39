"""Every operating point of a packaged card stands in a committed report of these very models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from faceprint.zoo.card_io import card_hash
from faceprint.zoo.catalog import all_cards, get_card

REPORTS = Path(__file__).resolve().parents[4] / "docs" / "reports"


def reports() -> list[Any]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(REPORTS.glob("*--*.json"))]


POINTS = [(card, entry) for card in all_cards() for entry in card.operating_points]


def test_the_starter_pack_can_decide() -> None:
    detectors = {entry.detector for card, entry in POINTS if card.id == "dlib-resnet"}
    assert "mtcnn" in detectors


MEASURED = [(card, entry) for card, entry in POINTS if entry.point.evidence != "published"]


@pytest.mark.parametrize(
    ("card", "entry"), MEASURED, ids=[f"{c.id}-{e.detector}-{e.point.name}" for c, e in MEASURED]
)
def test_a_card_says_what_its_report_says(card: Any, entry: Any) -> None:
    named = re.search(r"docs/reports/(\S+--\S+\.json)", entry.point.source)
    assert named is not None
    report = json.loads((REPORTS / named[1]).read_text("utf-8"))
    assert report["detector"] == entry.detector
    # The numbers of a copy may stand in the card of the original, and say so; no others may.
    copied = report["embedder"] != card.id
    assert (entry.point.evidence == "copy") == copied
    if copied:
        assert report["embedder"].startswith(f"{card.id}-")
        assert "copy of the weights" in entry.point.source
    found = next(point for point in report["points"] if point["fmr"] == entry.point.fmr)
    # Rounded up by less than a digit, so that no more pairs match than were counted.
    assert 0 <= entry.point.threshold - found["threshold"] < 1.1e-5
    for key in ("fmr_low", "fmr_high", "fnmr"):
        assert getattr(entry.point, key) == pytest.approx(found[key], rel=5e-3)
    assert found["false_matches"] <= found["fmr"] * found["non_mated"] + 1e-6
    assert entry.point.fmr_low <= entry.point.fmr <= entry.point.fmr_high


@pytest.mark.parametrize("report", reports(), ids=lambda r: f"{r['embedder']}--{r['detector']}")
def test_a_report_is_of_the_models_as_they_are(report: Any) -> None:
    models = report["reproduce"]["models"]
    assert models["detector"]["hash"] == card_hash(get_card(report["detector"]))
    packaged = {card.id: card for card in all_cards()}
    if report["embedder"] in packaged:
        assert models["embedder"]["hash"] == card_hash(packaged[report["embedder"]])
    else:
        assert any("not the publisher's file" in line for line in report["summary"])
    thresholds = [point["threshold"] for point in report["points"]]
    assert thresholds == sorted(thresholds)
    assert len(report["points"]) == 3
