"""The default merge threshold: its evidence, and extrapolation along a normal distribution."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from faceprint.errors import UsageError
from faceprint.recognition.thresholds.default_merge_threshold import extrapolated_point
from faceprint.types import OperatingPoint


def test_the_threshold_goes_on_along_the_normal_distribution():
    impostors = NormalDist(0.05, 0.07)
    points = [OperatingPoint(impostors.inv_cdf(1 - f), fmr=f) for f in (1e-2, 1e-3)]
    for wanted in (1e-1, 3e-3, 5e-5, 1e-6):
        point = extrapolated_point(points, fmr=wanted)
        assert point is not None
        assert point.threshold == pytest.approx(impostors.inv_cdf(1 - wanted), abs=1e-6)
    assert extrapolated_point(points[:1]) is None
    with pytest.raises(UsageError):
        extrapolated_point(points, fmr=0.7)


def test_points_of_several_detectors_take_the_strictest_of_each_rate() -> None:
    points = [OperatingPoint(0.914, fmr=1e-2), OperatingPoint(0.931, fmr=1e-3)]
    others = [OperatingPoint(0.913, fmr=1e-2), OperatingPoint(0.9305, fmr=1e-3)]
    both = extrapolated_point([*points, *others])
    alone = extrapolated_point(points)
    assert both is not None
    assert alone is not None
    assert both.threshold == alone.threshold
    assert type(both.threshold) is float, "as JSON"
    assert extrapolated_point([points[0], others[0]]) is None
