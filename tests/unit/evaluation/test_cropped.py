"""Photographs cut close around their faces: where they are cut, and what is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from faceprint.evaluation.cropped import CUTS, Cut, cut_out, evaluate_cropped
from faceprint.evaluation.datasets import LabeledSet, Picture
from faceprint.types import AnalyzedImage, Embedding, Face, OperatingPoint
from faceprint.zoo.catalog import get_card

BOX = np.asarray([40, 30, 80, 70], np.float32)


@pytest.mark.parametrize(
    ("name", "corner", "size"),
    [
        ("whole", (0, 0), (120, 100)),
        ("margin 0", (40, 30), (40, 40)),
        ("margin 15 %", (34, 24), (52, 52)),
        ("margin 30 %", (28, 18), (64, 64)),
        ("one side", (0, 0), (120, 70)),
        ("two sides", (40, 0), (40, 100)),
        ("three sides", (40, 30), (40, 70)),
        ("half outside", (60, 0), (60, 100)),
    ],
)
def test_where_a_photograph_is_cut(
    name: str, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.arange(100 * 120 * 3).reshape(100, 120, 3).astype(np.uint8)
    cutting, place = cut_out(image, BOX, CUTS[name])
    assert (tuple(place), cutting.shape[1::-1]) == (corner, size)
    x, y = corner
    np.testing.assert_array_equal(cutting, image[y : y + size[1], x : x + size[0]])


def test_a_cut_beyond_the_photograph_ends_at_its_edge() -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    cutting, place = cut_out(image, np.asarray([-5, -5, 70, 60]), Cut(1, 1, 1, 1))
    assert cutting.shape == image.shape
    assert tuple(place) == (0, 0)


class _Squares:
    """Finds one white square; cut ones where `moved` says, and none narrower than `least`."""

    def __init__(self, least: int = 0, moved: float = 0.0) -> None:
        self.least, self.moved = least, moved
        self.embedder_card = get_card("dlib-resnet")

    def analyze_many(self, sources: Iterable[Any], **_: object) -> Iterator[AnalyzedImage]:
        for image in sources:
            ys, xs = np.nonzero(image[:, :, 0] > 128)
            height, width = image.shape[:2]
            x1, y1, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            faces = []
            if x2 - x1 >= self.least:
                box = np.asarray([x1, y1, x2, y2], np.float32)
                eyes = [(x1 + 10, y1 + 10), (x1 + 30, y1 + 10)]
                points = np.asarray([*eyes, *[(x1 + 20, y1 + 20)] * 3], np.float32)
                if width < 100:
                    points = points + np.float32(self.moved)
                angle = float(image[ys[0], xs[0], 1]) / 100
                vector = np.asarray([np.cos(angle), np.sin(angle)], np.float32)
                faces = [Face(box, 1.0, points, embedding=Embedding(vector, "m", 1.0))]
            yield AnalyzedImage("", faces, width, height)


def _set() -> LabeledSet:
    """Two people twice each, told apart by an angle of about one in the second channel."""
    pictures = []
    for index, angle in enumerate((0, 10, 100, 110)):
        image = np.zeros((100, 120, 3), np.uint8)
        image[30:70, 40:80] = (255, angle, 0)
        ok, data = cv2.imencode(".png", image[:, :, ::-1])
        assert ok
        pictures.append(Picture(f"{index}.png", data.tobytes()))
    return LabeledSet("squares", tuple(pictures), np.asarray([0, 0, 1, 1]), ("a", "b"), False)


def test_what_is_counted() -> None:
    point = OperatingPoint(0.9, fmr=1e-3)
    results = evaluate_cropped(
        _set(),
        _Squares(least=30, moved=2.0),  # type: ignore[arg-type]
        [point],
        reference=_Squares(),  # type: ignore[arg-type]
    )
    by_name = {result.cut: result for result in results}
    whole, close, half = (by_name[name] for name in ("whole", "margin 0", "half outside"))
    assert (whole.found, whole.lost, whole.landmark_error) == (4, 0, 0.0)
    assert (close.found, close.lost) == (4, 0)
    # Moved by (2, 2) pixels; the eyes lie 20 pixels apart.
    assert close.landmark_error == pytest.approx(np.hypot(2, 2) / 20)
    assert close.landmark_shift == pytest.approx(np.hypot(2, 2) / 20)
    # Half a square is 20 pixels wide, fewer than the detector wants.
    assert (half.found, half.lost, half.usable, half.points) == (0, 4, 0, ())
    assert whole.usable == 4
    (rates,) = whole.points
    assert (rates.fmr_found, rates.fnmr_found) == (0.0, 0.0)
