"""Published figures beside measured ones."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.evaluation.result import About, verification_result
from faceprint.evaluation.validate import compare_published, data_set_name
from faceprint.zoo.card import PublishedFigure


@pytest.mark.parametrize(
    ("value", "agrees"), [(0.98, True), (0.995, False), (0.93, False), (0.9512, True)]
)
def test_published_figures_agree_inside_the_interval(value: float, agrees: bool) -> None:
    from faceprint.evaluation.fold_accuracy import fold_accuracy

    mated = np.tile([True] * 25 + [False] * 25, 4)
    similarities = np.where(mated, 0.9, 0.1)
    similarities[:6] = 0.0  # 6 of 200 wrong: 0.97, by Wilson 0.936 to 0.986
    accuracy = fold_accuracy(2 - 2 * similarities, mated, 4)
    result = verification_result(
        similarities, mated, About("lfw", "lfw", "starter"), accuracy=accuracy
    )
    figures = (
        PublishedFigure("LFW, 6,000 pairs", "accuracy", value, "paper"),
        PublishedFigure("CFP-FP", "accuracy", 0.5, "paper"),
        PublishedFigure("LFW", "rank-1", 0.5, "paper"),
    )
    found = compare_published(figures, result, data_set_name("lfw"))
    assert [c.agrees for c in found] == [agrees, None, None]
    assert found[0].low == pytest.approx(0.9361, abs=1e-4)
    assert found[0].high == pytest.approx(0.9862, abs=1e-4)
    assert data_set_name("cfp_fp") == "CFP-FP"
    assert data_set_name("agedb_30") == "AgeDB-30"
    assert data_set_name("ours") == "ours"
