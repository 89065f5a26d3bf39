"""Blobs by the input contract, and letterboxed canvases with their way back."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.errors import InvalidImageArrayError, UsageError
from faceprint.vision.preprocess import fit, to_blob
from faceprint.zoo.card import InputContract

IMAGENET = InputContract(
    112, 112, "RGB", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
)


def _images(count: int, height: int = 9, width: int = 7) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_every_value_is_less_mean_over_std_in_the_graphs_channel_order(
    color: str, layout: str
) -> None:
    contract = replace(IMAGENET, color=color, layout=layout)
    images = _images(3)
    blob = to_blob(images, contract)
    assert blob.shape == ((3, 3, 9, 7) if layout == "NCHW" else (3, 9, 7, 3))
    assert blob.dtype == np.float32
    assert blob.flags["C_CONTIGUOUS"]
    for n, y, x, c in [(0, 0, 0, 0), (2, 8, 6, 1), (1, 4, 2, 2), (2, 0, 5, 0)]:
        source = images[n, y, x, c if color == "RGB" else 2 - c]
        wanted = (float(source) - contract.mean[c]) / contract.std[c]
        got = blob[n, c, y, x] if layout == "NCHW" else blob[n, y, x, c]
        assert got == pytest.approx(wanted, abs=1e-5)


def test_opencv_makes_the_same_blob_where_it_can() -> None:
    images = _images(4, 32, 48)
    contract = InputContract(48, 32, "BGR", (104.0, 117.0, 123.0), (128.0, 128.0, 128.0))
    wanted = cv2.dnn.blobFromImages(
        [image[:, :, ::-1] for image in images], 1 / 128, mean=(104.0, 117.0, 123.0)
    )
    np.testing.assert_allclose(to_blob(list(images), contract), wanted, atol=1e-6)


def test_a_list_an_array_and_views_of_either_agree() -> None:
    images = _images(2, 20, 20)
    whole = to_blob(images[:, 3:15, 2:12], IMAGENET)
    np.testing.assert_array_equal(whole, to_blob([im[3:15, 2:12] for im in images], IMAGENET))
    flipped = to_blob([im[:, ::-1] for im in images], IMAGENET)
    np.testing.assert_array_equal(flipped, to_blob(images, IMAGENET)[:, :, :, ::-1])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_graph_that_normalizes_itself_is_fed_pixels(layout: str) -> None:
    images = _images(1)
    blob = to_blob(images, replace(IMAGENET, layout=layout, normalized_inside=True))
    pixels = images.transpose(0, 3, 1, 2) if layout == "NCHW" else images
    np.testing.assert_array_equal(blob, pixels.astype(np.float32))


def test_images_that_make_no_batch_are_refused() -> None:
    with pytest.raises(InvalidImageArrayError, match="one size"):
        to_blob([_images(1)[0], _images(1, 8)[0]], IMAGENET)
    with pytest.raises(InvalidImageArrayError, match="at least one"):
        to_blob([], IMAGENET)
    with pytest.raises(InvalidImageArrayError, match="float64"):
        to_blob([np.zeros((4, 4, 3))], IMAGENET)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    canvas=st.tuples(st.integers(16, 200), st.integers(16, 200)),
    margin=st.sampled_from([0.0, 0.1, 0.25]),
)
def test_the_letterbox_covers_its_part_and_leads_back(
    size: tuple[int, int], canvas: tuple[int, int], margin: float
) -> None:
    image = np.full((size[1], size[0], 3), 200, np.uint8)
    out, box = fit(image, canvas, margin=margin, fill=(1, 2, 3))
    assert out.shape == (canvas[1], canvas[0], 3)
    inside = (out == 200).all(axis=2)
    rows, columns = np.nonzero(inside)
    left, top = int(box.left), int(box.top)
    assert (columns.min(), columns.max() + 1) == (left, left + box.width)
    assert (rows.min(), rows.max() + 1) == (top, top + box.height)
    assert inside.sum() == box.width * box.height
    assert (out[~inside] == (1, 2, 3)).all()
    # Rounding moves an edge by half a canvas pixel at most, unless a side shrank below one pixel.
    edges = np.asarray([[left, top], [left + box.width, top + box.height]], np.float32)
    back = box.undo(edges)
    allowed = 0.51 / box.scale if min(size) * box.scale >= 0.5 else 1 / box.scale
    np.testing.assert_allclose(back, [[0, 0], size], atol=allowed)


def test_a_spot_comes_back_to_where_it_was() -> None:
    image = np.zeros((900, 1600, 3), np.uint8)
    cv2.circle(image, (1200, 300), 12, (255, 255, 255), -1)
    for margin in (0.0, 0.25):
        out, box = fit(image, (320, 320), margin=margin)
        weight = out[:, :, 0].astype(np.float64)
        center = [(weight.sum(axis=axis) @ np.arange(320)) / weight.sum() for axis in (0, 1)]
        back = box.undo(np.asarray(center, np.float32))
        np.testing.assert_allclose(back, (1200, 300), atol=0.75 / box.scale)


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[::2] = 255
    out, _ = fit(stripes, (100, 100))
    assert np.abs(out.astype(int) - 127).max() <= 1


def test_an_image_of_the_canvas_size_is_itself() -> None:
    image = _images(1, 32, 64)[0]
    out, box = fit(image, (64, 32))
    np.testing.assert_array_equal(out, image)
    assert (box.scale, box.left, box.top) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(("canvas", "margin"), [((0, 10), 0.0), ((10, 10), 0.5), ((9, 9), -0.1)])
def test_a_canvas_without_room_is_refused(canvas: tuple[int, int], margin: float) -> None:
    with pytest.raises(UsageError, match="nothing fits"):
        fit(_images(1)[0], canvas, margin=margin)
