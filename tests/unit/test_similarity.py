"""Cosine similarity: known angles, and what can't be compared."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.errors import ModelMismatchError
from faceprint.similarity import compare, normalize
from faceprint.types import Embedding


def embedding(vector: list[float], model: str = "m") -> Embedding:
    rows, norms = normalize(np.float32([vector]))
    return Embedding(rows[0], model, float(norms[0]))


def test_known_angles() -> None:
    assert compare(embedding([1, 0]), embedding([1, 1])) == pytest.approx(np.sqrt(0.5))
    assert compare(embedding([1, 0]), embedding([-2, 0])) == -1.0
    assert embedding([3, 4]).norm == 5.0


def test_two_models_do_not_compare() -> None:
    with pytest.raises(ModelMismatchError, match="sface and arcface-r100"):
        compare(embedding([1, 0], "sface"), embedding([1, 0], "arcface-r100"))


def test_not_a_number_is_refused_and_zero_stays_zero() -> None:
    with pytest.raises(ValueError, match="NaN"):
        normalize(np.float32([[1, np.nan]]))
    assert not normalize(np.zeros((1, 4), np.float32))[0].any()
