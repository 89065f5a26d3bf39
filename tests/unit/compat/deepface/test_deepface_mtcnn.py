"""deepface's detector `mtcnn` beside the PyPI library mtcnn 1.0 itself.

tests/data/compat/mtcnn-1.0.0.json is what that library (TensorFlow 2.21) found: for each photograph
x, y, w, h, five landmarks and the score of each face.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceprint.compat.deepface import detection, mtcnn
from faceprint.compat.deepface.photos import load_photo
from faceprint.types import Detections, Image
from faceprint.vision.detect.mtcnn import MtcnnDetector

DATA = Path(__file__).resolve().parents[3] / "data" / "compat" / "mtcnn-1.0.0.json"
SAMPLES = Path(str(resources.files("faceprint") / "samples"))
EXPECTED = json.loads(DATA.read_text("utf-8"))


def find(image: Image) -> Detections:
    detector = detection._open("mtcnn")
    assert isinstance(detector, MtcnnDetector)
    return mtcnn.find_faces(detector, image)


def check(photograph: Path, expected: list[tuple[list[int], list[list[int]], float]]) -> None:
    image, _ = load_photo(photograph)
    found = find(image)
    assert found.landmarks is not None
    assert len(found) == len(expected)
    corners = found.boxes.reshape(-1, 2, 2)
    boxes = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)
    for row, (box, points, score) in enumerate(expected):
        # Rounded in the library; a runtime may differ in the last bit.
        assert np.abs(boxes[row] - box).max() <= 0.6
        assert np.abs(found.landmarks[row] - points).max() <= 0.6
        assert found.scores[row] == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("samples/")])
def test_samples(name: str) -> None:
    check(SAMPLES / Path(name).name, EXPECTED[name])


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("shared/")])
def test_photographs_with_several_and_cut_faces(name: str, shared_faces: Path) -> None:
    check(shared_faces.parent / name.removeprefix("shared/"), EXPECTED[name])


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (12, 12), (30, 40), (200, 25)])
def test_no_face(size: tuple[int, int]) -> None:
    for brightness in (0, 128, 255):
        found = find(np.full((*size, 3), brightness, np.uint8))
        assert len(found) == 0 and found.landmarks is not None


@pytest.mark.parametrize("scale", [0.6, 0.302, 0.1])
@pytest.mark.parametrize("box", [(0, 0, 131, 173), (50, 70, 90, 100), (0, 100, 131, 173)])
def test_levels_average_areas_of_what_is_not_black(
    scale: float, box: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = box
    image = np.zeros((173, 131, 3), np.uint8)
    content = image[top:bottom, left:right]
    content[:] = np.random.default_rng(0).integers(0, 256, content.shape, np.uint8)
    size = int(131 * scale), int(173 * scale)
    whole = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    rows = mtcnn._axis(173, scale, top, bottom)
    columns = mtcnn._axis(131, scale, left, right)
    (level,) = mtcnn._level(content, rows, columns)
    assert rows.first % 2 == columns.first % 2 == 0  # P-Net's step
    part = np.s_[rows.first : rows.first + len(level), columns.first :][:2]
    assert np.allclose(level, whole[part][:, : level.shape[1]], atol=0.02)
    whole[part][:, : level.shape[1]] = 0
    assert not whole.any()


def test_a_dropped_box_drops_others() -> None:
    # Each overlaps the next by 0.6: the second is dropped, and drops the third all the same.
    boxes = np.array([[0, 0, 100, 10], [25, 0, 125, 10], [50, 0, 150, 10]], np.float64)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    assert mtcnn._best(boxes, scores, 0.5).tolist() == [0]
    assert mtcnn._best(boxes, scores[::-1], 0.5).tolist() == [2]
    assert mtcnn._best(boxes, scores, 0.65).tolist() == [0, 1, 2]
    assert mtcnn._best(boxes, scores, 0.65, least=0.7).tolist() == [0, 1]
    inside = np.array([[0, 0, 100, 100], [10, 10, 20, 20]], np.float64)
    assert mtcnn._best(inside, scores[:2], 0.7).tolist() == [0, 1]
    assert mtcnn._best(inside, scores[:2], 0.7, over_minimum=True).tolist() == [0]


def test_boxes_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 60, (100, 2))
    boxes, scores = np.hstack([corners, corners + 20]), random.random(100, np.float32)
    together = mtcnn._best(boxes, scores, 0.3)
    monkeypatch.setattr(mtcnn, "_TOGETHER", 7)
    assert mtcnn._best(boxes, scores, 0.3).tolist() == together.tolist()
    assert 1 < len(together) < 100


def test_crops_are_gray_outside_and_blended_within() -> None:
    ramp = np.zeros((10, 10, 3), np.uint8)
    ramp[..., 0] = np.arange(10) * 20
    ramp[..., 1] = np.arange(10)[:, None] * 10
    crop, beside = mtcnn._crops(ramp, np.array([[0, 0, 10, 10], [-10, 2, 10, 8]], np.float64), 19)
    assert crop[0, :, 0] == pytest.approx(np.linspace(0, 180, 19))
    assert crop[:, 0, 1] == pytest.approx(np.linspace(0, 90, 19))
    assert np.all(beside[:, :9] == 127.5) and np.all(beside[:, 9:, 2] == 0)
