"""Crops of boxes: the same whether cut from one image or from many at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.vision.detect import box_crops as box_crops_module
from faceprint.vision.detect.box_crops import box_crops
from faceprint.vision.mipmaps import Mipmaps

SIZES = [(40, 61), (40, 61), (40, 61), (33, 17), (128, 96)]


def world(seed: int, count: int) -> tuple[list[Mipmaps], np.ndarray, np.ndarray]:
    """Images, boxes inside them that touch every edge, and whose they are."""
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in SIZES]
    owner = random.integers(0, len(images), count)
    limits = np.asarray([(w, h) for h, w in SIZES], np.float32)[owner]
    corners = np.sort(random.uniform(-0.3, 1.3, (2, count, 2)).clip(0, 1), axis=0) * limits
    return [Mipmaps(image) for image in images], np.concatenate([*corners], 1), owner


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 150), st.sampled_from([12, 24, 48]))
def test_many_images_at_once_are_as_each_alone(seed: int, count: int, size: int) -> None:
    mipmaps, boxes, owner = world(seed, count)
    together = box_crops(mipmaps, boxes, owner, size)
    assert together.shape == (count, size, size, 3)
    for box, index, crop in zip(boxes, owner, together, strict=True):
        alone = box_crops([mipmaps[index]], box[None], np.zeros(1, int), size)
        np.testing.assert_array_equal(crop, alone[0])


def test_a_crop_is_bilinear_with_the_edge_repeated() -> None:
    mipmaps, boxes, owner = world(3, 40)
    wide = boxes[:, 2:] - boxes[:, :2] >= 4
    chosen = wide.all(axis=1) & ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) < 30 * 30)
    assert chosen.sum() > 5
    crops = box_crops(mipmaps, boxes[chosen], owner[chosen], 24)
    for box, index, crop in zip(boxes[chosen], owner[chosen], crops, strict=True):
        image = mipmaps[index].level(0).astype(float)
        steps = (box[2:] - box[:2]) / 24
        places = box[:2, None] + steps[:, None] * (np.arange(24) + 0.5) - 0.5
        last = np.asarray(image.shape[1::-1])[:, None] - 1
        x, y = places.clip(0, last)
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        right, below = np.minimum(left + 1, last[0]), np.minimum(top + 1, last[1])
        across = (x - left)[None, :, None]
        rows = [image[line][:, left] * (1 - across) + image[line][:, right] * across
                for line in (top, below)]  # fmt: skip
        down = (y - top)[:, None, None]
        expected = rows[0] * (1 - down) + rows[1] * down
        assert np.abs(crop - expected).max() < 20, "a 32nd of a pixel, at most, in noise"
        assert np.abs(crop - expected).mean() < 3


def test_more_images_than_fit_below_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    mipmaps, boxes, owner = world(5, 60)
    expected = box_crops(mipmaps, boxes, owner, 24)
    for together in (0, 2 * 40 * 61, 10**9):
        monkeypatch.setattr(box_crops_module, "_STACKED_PIXELS", together)
        np.testing.assert_array_equal(box_crops(mipmaps, boxes, owner, 24), expected)
    monkeypatch.setattr(box_crops_module, "MAX_SIDE", 100)
    np.testing.assert_array_equal(box_crops(mipmaps, boxes, owner, 24), expected)
