"""The embedder around a network: batches, the mirror image, outputs that are not the card's."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import PIL.Image
import pytest

from faceprint.errors import CardError
from faceprint.runtime.session import SessionInfo
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.load import LoadOptions, load_embedder
from faceprint.zoo.card import ModelCard
from faceprint.zoo.catalog import get_card

SIZE, DIM = 12, 6


class _Linear:
    """A network that multiplies each pixel with weights of its own."""

    info: SessionInfo

    def __init__(self, dim: int = DIM) -> None:
        self._weights = np.random.default_rng(1).standard_normal((3 * SIZE * SIZE, dim))
        self.rows: list[int] = []

    def run(self, blob: np.ndarray) -> tuple[np.ndarray, ...]:
        self.rows.append(len(blob))
        assert blob.flags.c_contiguous
        return ((blob.reshape(len(blob), -1) @ self._weights).astype(np.float32),)


def _card(layout: str = "NCHW") -> ModelCard:
    card = get_card("mobileface")
    return replace(card, dim=DIM, input=replace(card.input, layout=layout, mirror=False))


def _crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("count", [1, 16, 37])
def test_the_mirror_image_is_added(layout: str, count: int) -> None:
    crops = _crops(count)
    embedder = VectorEmbedder(_Linear(), _card(layout), mirror=True)
    both = embedder.raw(crops) + embedder.raw(np.ascontiguousarray(crops[:, :, ::-1]))
    wanted = both / np.linalg.norm(both, axis=1, keepdims=True)
    found = embedder.embed(crops)
    assert [item.model for item in found] == ["mobileface+mirror"] * count
    np.testing.assert_allclose([item.vector for item in found], wanted, atol=1e-6)
    np.testing.assert_allclose([item.norm for item in found], np.linalg.norm(both, axis=1), 1e-5)


@pytest.mark.parametrize("crops", [2, 4])
def test_views_of_a_face_are_added(crops: int) -> None:
    """The enlarged views by Pillow's own resampling, whose rounding differs by a gray level."""
    faces = cv2.GaussianBlur(_crops(1)[0], (0, 0), 2)[None]
    enlarged = PIL.Image.fromarray(faces[0]).transform(
        (SIZE, SIZE),
        PIL.Image.Transform.AFFINE,
        (1 / 1.1, 0, SIZE / 2 * (1 - 1 / 1.1), 0, 1 / 1.1, SIZE / 2 * (1 - 1 / 1.1)),
        PIL.Image.Resampling.BILINEAR,
    )
    card = _card()
    plain = VectorEmbedder(_Linear(), card)
    larger = np.asarray(enlarged)[None]
    views = {
        2: [faces, larger[:, :, ::-1]],
        4: [faces, faces[:, :, ::-1], larger, larger[:, :, ::-1]],
    }
    wanted = sum(plain.raw(np.ascontiguousarray(view)) for view in views[crops])
    averaged = replace(card, input=replace(card.input, crops=crops))
    (found,) = VectorEmbedder(_Linear(), averaged).embed(faces)
    assert found.model == card.id
    assert float(found.vector @ (wanted[0] / np.linalg.norm(wanted[0]))) > 0.999
    assert found.norm == pytest.approx(np.linalg.norm(wanted), rel=0.02)


def test_batches_hold_sixteen_crops() -> None:
    network = _Linear()
    plain = VectorEmbedder(network, _card()).embed(_crops(37))
    assert network.rows == [16, 16, 5]
    assert [item.model for item in plain] == ["mobileface"] * 37
    assert VectorEmbedder(network, _card()).embed(_crops(0)) == []


def test_an_output_of_another_size_is_not_an_embedding() -> None:
    with pytest.raises(CardError, match="gives 7 values per face"):
        VectorEmbedder(_Linear(7), _card()).embed(_crops(2))


@pytest.mark.parametrize(("threads", "most"), [(1, 4), (2, 16)])
def test_a_core_that_works_alone_takes_few_crops_a_call(threads: int, most: int) -> None:
    embedder = load_embedder(get_card("dlib-resnet"), LoadOptions(threads=threads))
    session, rows = embedder._session, []

    class Counting:
        info = session.info

        def run(self, blob: np.ndarray) -> tuple[np.ndarray, ...]:
            rows.append(len(blob))
            return session.run(blob)

    embedder._session = Counting()
    side = embedder.card.input.height
    assert len(embedder.embed(np.zeros((18, side, side, 3), np.uint8))) == 18
    assert max(rows) == most
