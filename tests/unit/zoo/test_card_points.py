"""Operating points that contradict each other are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from faceprint.types import Measurement, OperatingPoint
from faceprint.zoo.card import CardOperatingPoint, ModelCard
from faceprint.zoo.card_points import has_measured_points, point_problems
from faceprint.zoo.catalog import all_cards, get_card

CARDS = all_cards()


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("card", CARDS, ids=[card.id for card in CARDS])
def test_no_packaged_card_contradicts_itself(card: ModelCard) -> None:
    assert point_problems(card) == []


def test_lint_sees_a_rate_that_the_point_does_not_keep() -> None:
    worst = Measurement("FaceScrub", 4e-3)
    points = (
        OperatingPoint(0.3, 1e-3, source="s", measurements=(worst,)),
        OperatingPoint(0.3, 1e-3, 2e-3, 3e-3, source="s"),
    )
    card = replace(
        get_card("sface"),
        operating_points=tuple(CardOperatingPoint("mtcnn", point) for point in points),
    )
    assert point_problems(card) == [
        "0.3 with mtcnn: fmr 0.001, but 0.004 on FaceScrub",
        "0.3 with mtcnn: fmr 0.001 is outside of 0.002 to 0.003",
    ]
    assert not has_measured_points(get_card("sface"))
