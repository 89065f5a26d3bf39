"""The minimum quality for comparing and clustering faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.min_quality import QualityFilter, objection, usable_quality
from faceprint.types import (
    Quality,
)
from faceprint.zoo.card import ModelCard, QualityMeasure
from faceprint.zoo.catalog import get_card

KNOTS = ((-1.0, 0.0), (0.0, 0.5), (1.0, 1.0))
CROP = Quality(50.0, 120.0, 0.1, 0.4)


def card(measure: QualityMeasure | None) -> ModelCard:
    return replace(get_card("dlib-resnet"), dim=4, quality=measure)


def test_who_may_decide() -> None:
    measured, unmeasured = card(QualityMeasure(KNOTS, 1.0)), card(None)
    nonsense = replace(CROP, value=0.0, landmarks_plausible=False)
    assert usable_quality(measured) == 0.5
    assert "0.40 is below 0.50" in objection(CROP, usable_quality(measured))
    assert not objection(CROP, usable_quality(measured, 0.3))
    assert not objection(None, usable_quality(measured))
    # Where nobody measured a limit, nonsense alone is refused; 0 takes all.
    assert not objection(replace(CROP, value=0.01), usable_quality(unmeasured))
    assert "landmarks" in objection(nonsense, usable_quality(unmeasured))
    assert not objection(nonsense, usable_quality(measured, 0.0))
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            usable_quality(measured, wrong)


def test_albums_set_nonsense_aside() -> None:
    rows = np.asarray(
        [(80, 100, 0, 0), (80, 100, 0, 0.001), (10, 100, 0, 0), (np.nan, np.nan, np.nan, 0)]
    )
    reasons = QualityFilter().reasons(rows.astype(np.float32))
    assert "landmarks" in reasons[0]
    assert reasons[1:] == ["", "too small", ""]
