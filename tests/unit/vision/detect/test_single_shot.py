"""How photographs are shown to a single-shot graph: canvases, frames, tiles, and the way back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.errors import CardError, InvalidImageArrayError
from faceprint.runtime.session import SessionInfo, TensorSpec
from faceprint.types import Detections
from faceprint.vision.detect.single_shot import SingleShotDetector
from faceprint.vision.detect.tiling import Window, merge
from faceprint.zoo.card import ModelCard
from faceprint.zoo.catalog import get_card


class _GreenSquare:
    """A graph that finds pure green of `least` to `largest` pixels, up to 0.7 of the canvas."""

    least, largest = 8, 10_000

    def __init__(self, height: int | None, width: int | None) -> None:
        self.info = SessionInfo(
            "fake",
            "1",
            "cpu",
            (TensorSpec("x", (None, 3, height, width)),),
            (TensorSpec("scores", (None, 1, 2)), TensorSpec("boxes", (None, 1, 4))),
        )
        self.sizes: list[tuple[int, ...]] = []

    def run(self, blob: np.ndarray) -> tuple[np.ndarray, ...]:
        self.sizes.append(blob.shape)
        scores, boxes = np.zeros((len(blob), 1, 2)), np.zeros((len(blob), 1, 4))
        height, width = blob.shape[2:]
        for index, picture in enumerate(blob * 128 + 127):
            rows, columns = np.nonzero((picture[1] > 180) & (picture[0] < 70) & (picture[2] < 70))
            side = np.ptp(rows) + 1 if len(rows) else 0
            if self.least <= side <= min(self.largest, 0.7 * height):
                scores[index, 0, 1] = 0.9
                ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                boxes[index, 0] = np.asarray(ends) / (width, height, width, height)
        return scores.astype(np.float32), boxes.astype(np.float32)


def _ultraface_card(**options: float) -> ModelCard:
    card = get_card("ultraface-rfb-320")
    return replace(card, options={**card.options, **options})


def _square(size: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = (0, 255, 0)
    return image


@pytest.mark.parametrize("shape", [(240, 320), (None, None)])
@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(200, 900), st.integers(200, 900)),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_boxes_come_back_in_the_photographs_own_pixels(
    shape: tuple[int | None, int | None], size: tuple[int, int], place: tuple[float, float]
) -> None:
    side = 90
    x, y = (int((length - side) * at) for length, at in zip(size, place, strict=True))
    detector = SingleShotDetector(_GreenSquare(*shape), _ultraface_card())
    (faces,) = detector.detect([_square(size, (x, y, x + side, y + side))])
    np.testing.assert_allclose(faces.boxes, [(x, y, x + side, y + side)], atol=5.5)


def test_what_fills_the_frame_is_found_within_a_frame() -> None:
    image = _square((500, 400), (20, 5, 480, 395))
    session = _GreenSquare(240, 320)
    (faces,) = SingleShotDetector(session, _ultraface_card()).detect([image])
    np.testing.assert_allclose(faces.boxes, [(20, 5, 480, 395)], atol=4)
    assert len(session.sizes) == 2
    assert not len(
        SingleShotDetector(session, _ultraface_card(margin=0.0, zoom=1.0)).detect([image])[0]
    )


@pytest.mark.parametrize("x", [0, 370, 777, 1150, 1970])
def test_what_the_canvas_shrinks_away_is_found_once_in_tiles(x: int) -> None:
    box = (x, 600, x + 30, 630)
    image = _square((2000, 1500), box)
    (faces,) = SingleShotDetector(_GreenSquare(240, 320), _ultraface_card()).detect([image])
    np.testing.assert_allclose(faces.boxes, [box], atol=3)
    (none,) = SingleShotDetector(_GreenSquare(240, 320), _ultraface_card(zoom=1.0)).detect([image])
    assert len(none) == 0
    assert none.landmarks is None


@settings(max_examples=30, deadline=None)
@given(x=st.integers(0, 1960), y=st.integers(0, 1460))
def test_no_seam_between_tiles_hides_a_face(x: int, y: int) -> None:
    # 40 pixels are 6 on the canvas at first, 13 in the first tiles.
    image = _square((2000, 1500), (x, y, x + 40, y + 40))
    session = _GreenSquare(240, 320)
    session.least = 12
    (faces,) = SingleShotDetector(session, _ultraface_card(zoom=2.0)).detect([image])
    np.testing.assert_allclose(faces.boxes, [(x, y, x + 40, y + 40)], atol=4)


def test_the_small_copy_of_a_free_canvas_gives_large_faces_alone() -> None:
    session = _GreenSquare(None, None)
    image = _square((1000, 900), (100, 100, 320, 320))
    detector = SingleShotDetector(session, _ultraface_card(max_side=640, margin=0, zoom=1))
    session.largest = 60
    assert len(detector.detect([image])[0]) == 0
    session.largest = 100
    image = _square((1000, 900), (100, 100, 700, 700))
    (faces,) = detector.detect([image])
    np.testing.assert_allclose(faces.boxes, [(100, 100, 700, 700)], atol=7)
    assert [shape[2:] for shape in session.sizes] == [(576, 640), (160, 160)] * 2


def test_images_of_many_sizes_keep_their_order_and_share_calls() -> None:
    session = _GreenSquare(240, 320)
    places = [(10 * i, 5 * i, 10 * i + 100, 5 * i + 90) for i in range(1, 11)]
    images = [_square((300 + 20 * i, 250 + 10 * i), box) for i, box in enumerate(places)]
    found = SingleShotDetector(session, _ultraface_card()).detect(images)
    np.testing.assert_allclose(np.concatenate([f.boxes for f in found]), places, atol=4)
    assert [shape[0] for shape in session.sizes] == [8, 2]


def test_a_free_canvas_follows_the_image_up_to_the_cards_size() -> None:
    session = _GreenSquare(None, None)
    detector = SingleShotDetector(
        session, _ultraface_card(max_side=640, margin=0, zoom=1, coarse_side=0)
    )
    for size in ((250, 250), (1280, 886), (600, 400), (1, 1), (5000, 40)):
        detector.detect([np.zeros((size[1], size[0], 3), np.uint8)])
    assert [shape[2:] for shape in session.sizes] == [
        (320, 320),
        (448, 640),
        (416, 608),
        (320, 320),
        (32, 640),
    ]


def test_no_images_and_arrays_that_are_no_images() -> None:
    detector = SingleShotDetector(_GreenSquare(240, 320), _ultraface_card())
    assert detector.detect([]) == []
    with pytest.raises(InvalidImageArrayError):
        detector.detect([np.zeros((5, 5), np.uint8)])
    with pytest.raises(CardError, match="no decoder named 'vector'"):
        SingleShotDetector(_GreenSquare(240, 320), replace(_ultraface_card(), decoder="vector"))


def test_windows_that_found_nothing_leave_overlapping_faces_of_another_alone() -> None:
    # The smaller box lies in the larger by 70 %: two faces in a crowd, as the first pass saw it.
    boxes = np.float32([[0, 0, 100, 100], [65, 0, 115, 50]])
    faces = Detections(boxes, np.float32([0.9, 0.8]), None)
    whole = Window(0, (0, 0, 200, 200), (64, 64))
    merged = merge([(whole, faces), (whole, Detections.empty(landmarks=False))], (200, 200))
    np.testing.assert_array_equal(merged.boxes, boxes)
    assert len(merge([(whole, faces), (whole, faces)], (200, 200))) == 1
