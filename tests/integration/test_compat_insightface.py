"""The drop-in for insightface beside what insightface 2.1 itself gave for the same program.

tests/data/compat/insightface-2.1.json is what the program printed with insightface 2.1, the files
det_500m.onnx and w600k_mbf_dequant.onnx (as w600k_mbf.onnx) of shared/models, and the photographs
of shared/faces/insightface.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from shared_cards import shared_cards

from faceprint.compat.insightface.app import FaceAnalysis
from faceprint.geometry import iou_matrix
from faceprint.zoo.catalog import add_card

DATA = Path(__file__).resolve().parents[1] / "data" / "compat"


@pytest.fixture
def buffalo_sc(shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pack's cards with the files at hand: w600k-mbf is a copy, expanded from int8."""
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    copy = shared_cards(shared_models, tmp_path)["w600k-mbf-dequant"]
    card = tmp_path / "w600k-mbf.toml"
    card.write_text(copy.read_text("utf-8").replace("w600k-mbf-dequant", "w600k-mbf", 1), "utf-8")
    add_card(card, replace=True)


def run(program: Path, *arguments: object) -> list[dict[str, Any]]:
    command = [sys.executable, str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.usefixtures("buffalo_sc")
def test_a_program_for_insightface_finds_the_same_faces(shared_faces: Path, tmp_path: Path) -> None:
    program = (DATA / "insightface_script.py").read_text("utf-8")
    line = "from insightface.app import FaceAnalysis\n"
    assert program.count("import FaceAnalysis") == program.count(line) == 1
    changed = tmp_path / "program.py"
    changed.write_text(program.replace(line, line.replace("from ", "from faceprint.compat.")))
    ours = run(changed, shared_faces / "insightface", tmp_path)
    theirs = json.loads((DATA / "insightface-2.1.json").read_text("utf-8"))
    for found, expected in zip(ours, theirs, strict=True):
        assert found["photographs"].keys() == expected["photographs"].keys()
        for name, faces in expected["photographs"].items():
            own = found["photographs"][name]
            assert len(own) == len(faces), name
            for a, b in zip(own, faces, strict=True):
                assert iou_matrix(np.array([a["box"]]), np.array([b["box"]])).item() >= 0.7
                assert np.allclose(a["kps"], b["kps"], atol=1)
                assert a["score"] == pytest.approx(b["score"], abs=0.01)
                assert a["norm"] == pytest.approx(b["norm"], rel=0.01)
        difference = np.subtract(found["similarities"], expected["similarities"])
        assert np.abs(difference).max() <= 0.01


@pytest.mark.usefixtures("buffalo_sc")
def test_the_models_can_be_used_one_by_one(shared_faces: Path) -> None:
    from faceprint.compat.insightface.utils import face_align

    image = cv2.imread(str(shared_faces / "insightface" / "t1.jpg"))
    app = FaceAnalysis("buffalo_s")
    app.prepare(ctx_id=-1, det_size=(640, 640))
    faces = app.get(image)
    assert len(faces) == 6
    scores = [float(face.det_score) for face in faces]
    assert scores == sorted(scores, reverse=True)
    largest = max(faces, key=lambda face: np.prod(face.bbox[2:] - face.bbox[:2]))
    (only,) = app.get(image, max_num=1, det_metric="max")
    assert np.array_equal(only.bbox, largest.bbox)

    boxes, points = app.det_model.detect(image, max_num=2)
    assert boxes.shape == (2, 5) and points.shape == (2, 5, 2)
    recognition = app.models["recognition"]
    crop = face_align.norm_crop(image, largest.kps)
    feature = recognition.get_feat(crop)
    assert feature.shape == (1, 512)
    assert recognition.compute_sim(feature, largest.embedding) > 0.9999
    again = type(largest)(bbox=largest.bbox, kps=largest.kps)
    assert np.allclose(recognition.get(image, again), largest.embedding, atol=1e-3)

    drawn = app.draw_on(image, faces)
    assert drawn.shape == image.shape and not np.array_equal(drawn, image)


@pytest.mark.usefixtures("buffalo_sc")
def test_detection_alone_gives_faces_without_embeddings(shared_faces: Path) -> None:
    image = cv2.imread(str(shared_faces / "insightface" / "t1.jpg"))
    app = FaceAnalysis("buffalo_sc", allowed_modules=["detection"])
    app.prepare(det_thresh=0.99)
    assert app.get(image) == []
    app.prepare(det_size=[(128, 128), (640, 640)])
    faces = app.get(image)
    assert faces and all(face.embedding is None for face in faces)
    assert all(face.normed_embedding is None for face in faces)
    assert list(app.models) == ["detection"]
