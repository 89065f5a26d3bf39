"""The drop-in's faces, arguments and errors, which need neither models nor photographs."""

from __future__ import annotations

import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from faceprint import errors
from faceprint.compat import insightface
from faceprint.compat.bgr import bgr_to_rgb
from faceprint.compat.insightface.app import Face, FaceAnalysis
from faceprint.compat.insightface.app import face_analysis as module
from faceprint.compat.insightface.detection import sizes_of
from faceprint.compat.insightface.packs import cards_of
from faceprint.compat.insightface.utils import face_align


def test_a_faces_fields_are_attributes_and_items() -> None:
    face = Face(bbox=np.zeros(4), det_score=0.9, embedding=np.asarray((3, 4), np.float32))
    assert face["det_score"] == face.det_score == 0.9
    assert face.embedding_norm == 5 and np.allclose(face.normed_embedding, (0.6, 0.8))
    face.name = "Ada"
    assert face["name"] == "Ada" and "name" in face
    assert face.kps is None and Face().normed_embedding is None and Face().embedding_norm is None
    assert pickle.loads(pickle.dumps(face)).name == "Ada"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("age", "not estimated"), ("sex", "not estimated"), ("landmark_2d_106", "five landmarks")],
)
def test_fields_that_are_not_covered_say_so(name: str, reason: str) -> None:
    with pytest.raises(AttributeError, match=reason):
        getattr(Face(), name)
    with pytest.raises(KeyError, match=reason):
        Face()[name]
    assert not hasattr(Face(), name)


def test_packs_are_cards_of_the_zoo() -> None:
    ids = {name: tuple(card.id for card in cards_of(name)) for name in ("buffalo_l", "buffalo_sc")}
    assert ids["buffalo_l"] == ("scrfd-10g", "w600k-r50")
    assert ids["buffalo_sc"] == ("scrfd-500m", "w600k-mbf")
    with pytest.raises(errors.UsageError, match="glintr100"):
        FaceAnalysis("antelopev2")
    with pytest.raises(errors.UsageError, match="models add"):
        FaceAnalysis("/models/my_pack")


def test_the_sizes_of_the_canvas() -> None:
    assert sizes_of(None) == sizes_of((0, 0)) == [(128, 128), (640, 640)]
    assert sizes_of((320, 240)) == sizes_of(np.array([320, 240])) == [(320, 240)]
    assert sizes_of([(64, 64), [128, 128], (64, 64)]) == [(64, 64), (128, 128)]
    for wrong in (640, (640,), (640, -1), "640", [(1, 2, 3)], (0, 640), (10**6, 10**6), []):
        with pytest.raises(errors.UsageError, match="det_size"):
            sizes_of(wrong)


def test_arguments_that_are_not_covered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.store, "ensure", lambda *_, **__: {})
    for given in ({"addons": ["liveness"]}, {"provider_options": [{"device_id": 1}]}):
        with pytest.raises(errors.UsageError, match="not covered: "):
            FaceAnalysis(**given)  # type: ignore[arg-type]
    for modules in (["recognition"], ["detection", "genderage"], []):
        with pytest.raises(errors.UsageError, match="allowed_modules"):
            FaceAnalysis(allowed_modules=modules)
    with pytest.raises(errors.UsageError, match="none of them"):
        FaceAnalysis(providers=["TensorrtExecutionProvider"])
    app = FaceAnalysis(providers=["CUDAExecutionProvider", "CPUExecutionProvider"], addons=None)
    with pytest.raises(errors.UsageError, match="prepare"):
        app.get(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(errors.UsageError, match="det_thresh"):
        app.prepare(det_thresh=50)


def test_licenses_are_asked_for_when_the_models_are_chosen() -> None:
    with pytest.raises(errors.LicenseNotAcceptedError, match="non-commercial"):
        FaceAnalysis("buffalo_sc")


def test_images_are_bgr() -> None:
    blue = np.zeros((4, 5, 3), np.uint8)
    blue[:, :, 0] = 255
    assert bgr_to_rgb(blue)[0, 0].tolist() == [0, 0, 255]
    with pytest.raises(errors.InvalidImageArrayError, match=r"cv2\.imread"):
        bgr_to_rgb(None)


def test_crops_follow_the_template() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    points = face_align.arcface_dst * 2 + 20
    for x, y in points.round().astype(int):
        cv2.circle(image, (int(x), int(y)), 5, (255, 255, 255), -1)
    crop = face_align.norm_crop(image, points)
    assert crop.shape == (112, 112, 3)
    assert all(crop[round(float(y)), round(float(x)), 0] > 250 for x, y in face_align.arcface_dst)
    wide, matrix = face_align.norm_crop2(image, points, 256)
    assert wide.shape == (256, 256, 3)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(moved, face_align.arcface_dst * 2 + (16, 0), atol=1e-3)
    for wrong in ((points[:4], 112, "arcface"), (points, 100, "arcface"), (points, 112, "")):
        with pytest.raises(errors.UsageError):
            face_align.norm_crop(image, *wrong)


def test_single_models_say_what_to_call() -> None:
    with pytest.raises(errors.UsageError, match=r"faceprint\.load"):
        insightface.model_zoo.get_model("inswapper_128.onnx", download=False)


def test_install_takes_the_name() -> None:
    program = (
        "from faceprint.compat import insightface as ours; ours.install();"
        "import insightface; from insightface.app import FaceAnalysis;"
        "from insightface.utils import face_align; import insightface.app.common;"
        "assert FaceAnalysis is ours.FaceAnalysis and insightface is ours"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
