import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faceprint.video.assignment import best_pairs

matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7),
    elements=st.floats(-1, 2, width=32),
)


@given(matrices)
def test_the_sum_is_that_of_scipy(values: np.ndarray) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
    pairs = best_pairs(values)
    rows, columns = optimize.linear_sum_assignment(np.maximum(values, 0), maximize=True)
    assert sum(values[pair] for pair in pairs) == pytest.approx(
        np.maximum(values, 0)[rows, columns].sum()
    )
    assert all(values[pair] > 0 for pair in pairs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)


def test_the_best_sum_may_leave_out_the_best_pair() -> None:
    assert best_pairs(np.array([[1.0, 0.9], [0.9, 0.0]])) == [(0, 1), (1, 0)]


def test_nothing_to_pair() -> None:
    assert best_pairs(np.zeros((0, 3))) == best_pairs(np.zeros((3, 0))) == []
    assert best_pairs(np.zeros((2, 2))) == []
