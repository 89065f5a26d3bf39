import numpy as np
import pytest

from faceprint.video.frames import oriented

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def moved(matrix: np.ndarray) -> np.ndarray:
    """Each pixel carried by the matrix, one by one."""
    found = {}
    for y in range(2):
        for x in range(3):
            found[tuple(int(v) for v in np.array([x, y]) @ matrix)] = PIXELS[y, x]
    columns, rows = sorted({x for x, _ in found}), sorted({y for _, y in found})
    return np.array([[found[x, y] for x in columns] for y in rows])


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[a, b], [c, d]])
        for a, b, c, d in (
            *((x, 0, 0, y) for x in (1, -1) for y in (1, -1)),
            *((0, x, y, 0) for x in (1, -1) for y in (1, -1)),
        )
    ],
)
def test_each_of_the_eight_orientations_carries_each_pixel_where_the_matrix_says(
    matrix: np.ndarray,
) -> None:
    np.testing.assert_array_equal(oriented(PIXELS, matrix), moved(matrix))


def test_without_a_matrix_the_pixels_stay() -> None:
    assert oriented(PIXELS, None) is PIXELS
