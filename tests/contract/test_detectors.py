"""The single-shot detectors with their real graphs on real photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceprint.geometry import iou_matrix
from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.types import Detections
from faceprint.vision.detect.single_shot import SingleShotDetector
from faceprint.vision.preprocess import fit
from faceprint.zoo.catalog import get_card

CARDS = ("yunet-2023mar", "scrfd-500m", "scrfd-2.5g", "retinaface-mnet025", "ultraface-rfb-320")
each_card = pytest.mark.parametrize("card_id", CARDS)
# The leftmost face of t1.jpg: box, and the two ends of the landmark list.
GOLDEN = {
    "yunet-2023mar": ((52.0, 266.9, 168.4, 401.1), (90.3, 313.7), (143.9, 359.7)),
    "scrfd-500m": ((56.3, 261.5, 168.9, 397.7), (83.8, 329.2), (149.3, 348.6)),
    "scrfd-2.5g": ((58.5, 263.6, 169.6, 395.2), (86.5, 331.4), (149.4, 348.9)),
    "retinaface-mnet025": ((51.4, 257.3, 170.4, 393.8), (78.3, 324.6), (150.7, 344.7)),
    "ultraface-rfb-320": ((54.9, 262.8, 165.7, 395.6), None, None),
}


@pytest.fixture(scope="module")
def detectors(shared_models: Path) -> Callable[[str], SingleShotDetector]:
    opened: dict[str, SingleShotDetector] = {}

    def get(card_id: str) -> SingleShotDetector:
        if card_id not in opened:
            card = get_card(card_id)
            path = shared_models / card.files[0].name
            session = open_session(path, runtime="onnxruntime", options=RuntimeOptions(threads=1))
            opened[card_id] = SingleShotDetector(session, card)
        return opened[card_id]

    return get


def _read(path: Path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])


@pytest.fixture(scope="module")
def group(shared_faces: Path) -> np.ndarray:
    return _read(shared_faces / "insightface" / "t1.jpg")


@pytest.fixture(scope="module")
def portraits(shared_faces: Path) -> list[np.ndarray]:
    paths = sorted((shared_faces / "lfw").glob("*/*.jpg"))
    return [_read(path) for path in paths[:: len(paths) // 30][:30]]


def _middle(faces: Detections) -> Detections:
    """The face nearest to the middle of a 250-pixel portrait."""
    centers = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    return faces[np.argmin(np.abs(centers - 125).sum(axis=1), keepdims=True)]


@each_card
def test_the_six_faces_of_the_group_with_golden_values(
    card_id: str, detectors: Callable[[str], SingleShotDetector], group: np.ndarray
) -> None:
    (faces,) = detectors(card_id).detect([group])
    assert len(faces) == 6
    assert (np.diff(faces.scores) <= 0).all()
    first = faces[np.argsort(faces.boxes[:, 0])][:1]
    box, eye, mouth = GOLDEN[card_id]
    np.testing.assert_allclose(first.boxes[0], box, atol=1.0)
    if eye is None:
        assert faces.landmarks is None
        return
    assert first.landmarks is not None
    np.testing.assert_allclose(first.landmarks[0, [0, 4]], [eye, mouth], atol=1.0)


@each_card
def test_landmarks_are_eyes_nose_mouth_with_image_left_first(
    card_id: str,
    detectors: Callable[[str], SingleShotDetector],
    portraits: list[np.ndarray],
) -> None:
    found = [_middle(faces) for faces in detectors(card_id).detect(portraits)]
    if found[0].landmarks is None:
        assert not get_card(card_id).landmarks
        return
    x, y = np.moveaxis(np.concatenate([faces.landmarks for faces in found]), 2, 0)
    upright = np.median(np.stack([x, y], axis=2), axis=0)
    assert (x[:, 0] < x[:, 1]).all()
    assert (x[:, 3] < x[:, 4]).all()
    assert (y[:, :2].max(axis=1) < y[:, 3:].min(axis=1)).all()
    assert upright[0, 0] < upright[2, 0] < upright[1, 0]
    assert upright[:2, 1].max() < upright[2, 1] < upright[3:, 1].min()


def test_detectors_agree_with_one_another_on_portraits(
    detectors: Callable[[str], SingleShotDetector], portraits: list[np.ndarray]
) -> None:
    found = {
        card_id: [_middle(faces) for faces in detectors(card_id).detect(portraits)]
        for card_id in CARDS
    }
    for one in CARDS:
        for other in CARDS[: CARDS.index(one)]:
            pairs = list(zip(found[one], found[other], strict=True))
            overlap = [float(iou_matrix(a.boxes, b.boxes)[0, 0]) for a, b in pairs]
            assert np.mean(overlap) > 0.7, (one, other)
            if found[one][0].landmarks is not None and found[other][0].landmarks is not None:
                apart = [np.abs(a.landmarks - b.landmarks).mean() for a, b in pairs]
                assert np.mean(apart) < 2.5, (one, other)
                assert np.max(apart) < 9, (one, other)


def test_yunet_is_what_opencv_makes_of_the_same_file(
    detectors: Callable[[str], SingleShotDetector], shared_models: Path, group: np.ndarray
) -> None:
    model = shared_models / "face_detection_yunet_2023mar.onnx"
    reference = cv2.FaceDetectorYN.create(str(model), "", (640, 640), 0.6, 0.3, 5000)
    canvas, _ = fit(group, (640, 640))
    _, wanted = reference.detect(np.ascontiguousarray(canvas[:, :, ::-1]))
    (faces,) = detectors("yunet-2023mar").detect([canvas])
    assert faces.landmarks is not None
    assert len(faces) == len(wanted) == 6
    wanted = wanted[np.argsort(-wanted[:, 14])]
    np.testing.assert_allclose(faces.scores, wanted[:, 14], atol=1e-4)
    np.testing.assert_allclose(faces.boxes[:, :2], wanted[:, :2], atol=0.02)
    np.testing.assert_allclose(faces.boxes[:, 2:], wanted[:, :2] + wanted[:, 2:4], atol=0.02)
    np.testing.assert_allclose(faces.landmarks.reshape(-1, 10), wanted[:, 4:14], atol=0.02)


@each_card
def test_a_face_that_fills_the_frame(
    card_id: str,
    detectors: Callable[[str], SingleShotDetector],
    portraits: list[np.ndarray],
) -> None:
    tight = [_filling(image, detectors("scrfd-500m")) for image in portraits[:8]]
    found = detectors(card_id).detect(tight)
    covered = [
        float(iou_matrix(faces.boxes[:1], np.float32([[0, 0, *image.shape[1::-1]]]))[0, 0])
        for faces, image in zip(found, tight, strict=True)
        if len(faces)
    ]
    assert len(covered) == len(tight)
    assert np.median(covered) > 0.7


def _filling(image: np.ndarray, detector: SingleShotDetector) -> np.ndarray:
    """The face's box alone, as a photograph of a thousand pixels."""
    x1, y1, x2, y2 = np.maximum(_middle(detector.detect([image])[0]).boxes[0].astype(int), 0)
    scale = 1000 / (y2 - y1)
    return cv2.resize(image[y1:y2, x1:x2], None, fx=scale, fy=scale)


@each_card
def test_the_large_face_of_a_selfie_comes_with_its_bystander(
    card_id: str,
    detectors: Callable[[str], SingleShotDetector],
    portraits: list[np.ndarray],
) -> None:
    face = _filling(portraits[0], detectors("scrfd-500m"))
    selfie = np.full((face.shape[0] + 60, face.shape[1] + 260, 3), 120, np.uint8)
    selfie[30:-30, : face.shape[1]] = face
    selfie[100:350, -250:] = portraits[2]
    (faces,) = detectors(card_id).detect([selfie])
    largest = np.float32([[0, 30, face.shape[1], selfie.shape[0] - 30]])
    assert (iou_matrix(faces.boxes, largest) > 0.6).sum() == 1
    assert len(faces) == 2


@each_card
def test_a_tiny_face_in_a_large_photograph(
    card_id: str,
    detectors: Callable[[str], SingleShotDetector],
    portraits: list[np.ndarray],
) -> None:
    large = np.full((3000, 4000, 3), 96, np.uint8)
    large[1700:1850, 2900:3050] = cv2.resize(portraits[0], (150, 150))
    (faces,) = detectors(card_id).detect([large])
    assert len(faces) == 1
    assert iou_matrix(faces.boxes, np.float32([[2937, 1732, 3013, 1818]]))[0, 0] > 0.5
    if faces.landmarks is not None:
        x1, y1, x2, y2 = faces.boxes[0]
        assert ((faces.landmarks > (x1, y1)) & (faces.landmarks < (x2, y2))).all()


@each_card
def test_nobody_is_an_empty_result(
    card_id: str, detectors: Callable[[str], SingleShotDetector]
) -> None:
    ramp = np.linspace(0, 255, 400, dtype=np.uint8)
    image = np.repeat(np.repeat(ramp[None, :, None], 300, axis=0), 3, axis=2)
    for picture in (image, np.zeros((64, 64, 3), np.uint8), image[:1, :1]):
        (faces,) = detectors(card_id).detect([picture])
        assert len(faces) == 0
