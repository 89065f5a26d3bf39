"""MTCNN's cascade against facenet-pytorch's: same weights, thresholds and smallest face."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceprint.geometry import iou_matrix
from faceprint.types import Detections
from faceprint.vision import images
from faceprint.vision.detect.mtcnn import MtcnnDetector, MtcnnSettings
from faceprint.vision.load import LoadOptions, load_detector
from faceprint.zoo.catalog import get_card

pytest.importorskip("torch", reason="facenet-pytorch needs torch, which is not installed")
sys.path.insert(0, str(Path(__file__).parent))
torchvision_stub = __import__("torchvision_stub")
torchvision_stub.install()
facenet_pytorch = pytest.importorskip(
    "facenet_pytorch", reason="the published MTCNN: pip install --no-deps facenet-pytorch"
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def photographs() -> list[Path]:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "faces" / "lfw"
    if not folder.is_dir():
        pytest.skip("the folder shared/faces is not here (photographs for tests)")
    return sorted(folder.rglob("*.jpg"))[:: max(1, 5373 // 200)][:200]


def ours() -> MtcnnDetector:
    detector = load_detector(get_card("mtcnn"), LoadOptions(runtime="onnxruntime"))
    assert isinstance(detector, MtcnnDetector)
    detector.settings = MtcnnSettings(0.6, 0.7, 0.8, min_face=20, min_face_share=0)
    return detector


def published() -> Any:
    return facenet_pytorch.MTCNN(
        min_face_size=20, thresholds=[0.6, 0.7, 0.8], factor=0.709, keep_all=True, device="cpu"
    )


def _inside(boxes: Any, width: int, height: int) -> Any:
    """Which boxes lie inside the image as the squares that the last network saw."""
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) * 0.6
    return ((center >= half) & (center + half <= np.asarray([width, height]))).all(axis=1)


def test_boxes_and_landmarks_agree(photographs: list[Path]) -> None:
    decoded = [images.decode(path) for path in photographs]
    found: list[Detections] = ours().detect(decoded)
    reference = published()
    matched = total = extra = 0
    offsets = []
    for image, mine in zip(decoded, found, strict=True):
        boxes, _, landmarks = reference.detect(image, landmarks=True)
        if boxes is None:
            extra += len(mine)
            continue
        # Where a crop leaves the image, facenet-pytorch stretches what is left of it, which moves
        # landmarks; the authors' code does not, and neither does ours.
        inside = _inside(np.asarray(boxes, np.float32), image.shape[1], image.shape[0])
        boxes, landmarks = boxes[inside], landmarks[inside]
        total += len(boxes)
        overlaps = iou_matrix(np.asarray(boxes, np.float32), mine.boxes)
        ours_inside = _inside(mine.boxes, image.shape[1], image.shape[0])
        extra += int((overlaps.max(axis=0, initial=0) < 0.7)[ours_inside].sum())
        if not len(mine) or not len(boxes):
            continue
        best = overlaps.argmax(axis=1)
        same = overlaps.max(axis=1) >= 0.7
        matched += int(same.sum())
        assert mine.landmarks is not None
        wanted = np.asarray(landmarks.tolist(), np.float32)
        difference = mine.landmarks[best[same]] - wanted[same]
        offsets += np.linalg.norm(difference, axis=2).mean(axis=1).tolist()
    print(f"{matched} of {total} faces, {extra} more; landmarks {np.median(offsets):.2f} pixels")
    assert matched >= 0.98 * total
    assert extra <= 0.05 * total
    assert np.median(offsets) < 1.5
