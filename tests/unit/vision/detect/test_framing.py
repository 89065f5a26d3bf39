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


@pytest.mark.parametrize("frame", FRAMES)
def test_the_photograph_stands_in_the_middle_of_its_frame(frame: Frame) -> None:
    photograph = _photograph(60, 40)
    framed = Framed.of(Mipmaps(photograph), frame, 0.5).mips.level(0)
    assert framed.shape == (40 + 2 * 30, 60 + 2 * 30, 3)
    seen = photograph[:, ::-1] if frame.mirrored else photograph
    np.testing.assert_array_equal(framed[30:70, 30:90], seen)
    if frame.filling == "gray":
        assert (framed[:30] == 127).all()
    else:
        np.testing.assert_array_equal(framed[0, 30:90], seen[0])
        np.testing.assert_array_equal(framed[-1, 30:90], seen[-1])


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("width", "height"), [(60, 40), (900, 700), (6000, 300)])
def test_places_come_back_in_pixels_of_the_photograph(
    frame: Frame, width: int, height: int
) -> None:
    framed = Framed.of(Mipmaps(_photograph(width, height)), frame, 0.5)
    sides = framed.mips.width, framed.mips.height
    assert max(sides) <= 2 * 1024
    # The photograph takes up what its frame, half as wide as its longer side, leaves.
    margin = (max(sides) + 1) // 4
    x1, y1, x2, y2 = margin, margin, sides[0] - margin, sides[1] - margin
    box = np.asarray([[x1, y1, x2, y2]], np.float32)
    # In the copy the right eye stands a tenth from its left edge, the nose in the middle.
    shares = np.asarray([0.1, 0.8, 0.5, 0.2, 0.7])
    points = np.stack([x1 + shares * (x2 - x1), y1 + shares * (y2 - y1)], axis=1)
    back = framed.undo(Detections(box, np.ones(1, np.float32), points[None].astype(np.float32)))
    np.testing.assert_allclose(back.boxes, [[0, 0, width, height]], atol=0.02)
    assert back.landmarks is not None
    across, down = back.landmarks[0].T
    if frame.mirrored:
        expected = [[0.2, 0.9, 0.5, 0.3, 0.8], [0.8, 0.1, 0.5, 0.7, 0.2]]
    else:
        expected = [shares, shares]
    np.testing.assert_allclose(across / width, expected[0], atol=1e-4)
    np.testing.assert_allclose(down / height, expected[1], atol=1e-4)
