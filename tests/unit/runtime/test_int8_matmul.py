"""Int8 matrix products are exact."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.runtime.int8_matmul import TOP, int8_matmul


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 300), st.booleans())
@settings(max_examples=40, deadline=None)
def test_whole_number_products_are_exact(m, n, d, extreme):
    rng = np.random.default_rng(m * n * d)
    values = [-TOP, TOP] if extreme else range(-TOP, TOP + 1)
    a, b = (rng.choice(values, (rows, d)).astype(np.int8) for rows in (m, n))
    expected = a.astype(np.int64) @ b.T.astype(np.int64)
    np.testing.assert_array_equal(int8_matmul(a, b), expected)
