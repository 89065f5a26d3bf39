"""A photograph in a frame: what it looks like, and that places come back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.types import Detections
from faceprint.vision.detect.framing import FRAMES, Frame, Framed
from faceprint.vision.mipmaps import Mipmaps


def _photograph(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", FRAMES)
def test_the_photograph_stands_in_the_middle_of_its_frame(kind: Frame) -> None:
    photograph = _photograph(60, 40)
    framed = Framed.of(Mipmaps(photograph), kind, 0.5).mips.level(0)
    assert framed.shape == (40 + 2 * 30, 60 + 2 * 30, 3)
    np.testing.assert_array_equal(framed[30:70, 30:90], photograph)
    if kind == "gray":
        assert (framed[:30] == 127).all()
    else:
        np.testing.assert_array_equal(framed[0, 30:90], photograph[0])
        np.testing.assert_array_equal(framed[-1, 30:90], photograph[-1])


@pytest.mark.parametrize(("width", "height"), [(60, 40), (900, 700), (6000, 300)])
def test_places_come_back_in_pixels_of_the_photograph(width: int, height: int) -> None:
    framed = Framed.of(Mipmaps(_photograph(width, height)), "edge", 0.5)
    assert max(framed.mips.width, framed.mips.height) <= 2 * 1024
    # The corners of the photograph lie where the frame ends.
    low = framed.shift / framed.step
    high = low + np.asarray([width, height]) / framed.step
    box = np.concatenate([low, high])[None].astype(np.float32)
    points = np.tile(((low + high) / 2).astype(np.float32), (1, 5, 1))
    back = framed.undo(Detections(box, np.ones(1, np.float32), points))
    np.testing.assert_allclose(back.boxes, [[0, 0, width, height]], atol=0.01)
    assert back.landmarks is not None
    np.testing.assert_allclose(back.landmarks[0, 0], [width / 2, height / 2], atol=0.01)
