"""The drop-in for deepface beside what deepface 0.0.103 itself gave for the same program.

tests/data/compat/deepface-0.0.103.json is what the program printed with deepface 0.0.103 (dlib 20,
OpenCV 5, mtcnn 1.0) for the photographs of shared/faces/face_recognition, searching
knn_examples/train there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from faceprint.compat.deepface import DeepFace
from faceprint.geometry import iou_matrix

DATA = Path(__file__).resolve().parents[1] / "data" / "compat"

TOLERANCE = 0.01
"""Cosine distance."""

OVERLAP = {"yunet": 0.7, "mtcnn": 0.99}
"""Least intersection over union. mtcnn's boxes are the same to the pixel, yunet's are close."""


def overlap(a: list[int], b: list[int]) -> float:
    """Intersection over union of two boxes x, y, w, h."""
    first, second = ([x, y, x + w, y + h] for x, y, w, h in (a, b))
    return float(iou_matrix(np.array([first], np.float32), np.array([second], np.float32)).item())


@pytest.fixture
def people(shared_faces: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    shutil.copytree(shared_faces / "face_recognition" / "knn_examples" / "train", folder)
    return folder


def test_a_program_for_deepface_gives_the_same_answers(
    shared_faces: Path, shared_models: Path, people: Path, tmp_path: Path
) -> None:
    program = (DATA / "deepface_script.py").read_text("utf-8")
    line = "from deepface import DeepFace\n"
    assert program.count("import DeepFace") == program.count(line) == 1
    changed = tmp_path / "program.py"
    changed.write_text(program.replace(line, line.replace("from ", "from faceprint.compat.")))
    command = [sys.executable, str(changed), str(shared_faces / "face_recognition"), str(people)]
    environment = {**os.environ, "FACEPRINT_MIRROR": str(shared_models), "FACEPRINT_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(done.stdout), json.loads((DATA / "deepface-0.0.103.json").read_text())
    for found, expected in zip(ours["pairs"], theirs["pairs"], strict=True):
        assert found["pair"] == expected["pair"]
        assert abs(found["distance"] - expected["distance"]) <= TOLERANCE, found["pair"]
        assert found["threshold"] == expected["threshold"]
        assert found["verified"] == expected["verified"], found["pair"]
        for a, b in zip(found["boxes"], expected["boxes"], strict=True):
            assert overlap(a, b) >= OVERLAP[found["pair"][0]], found["pair"]
    for found, expected in zip(ours["found"], theirs["found"], strict=True):
        assert found[:3] == expected[:3]
        assert np.allclose(found[3], expected[3], atol=TOLERANCE)
    for found, expected in zip(ours["metrics"], theirs["metrics"], strict=True):
        assert found[:2] == expected[:2] and found[3] == expected[3]
        assert found[2] == pytest.approx(expected[2], abs=0.03)


def test_faces_are_level_and_in_their_boxes(shared_faces: Path) -> None:
    photograph = str(shared_faces / "insightface" / "t1.jpg")
    faces = DeepFace.extract_faces(photograph)
    assert len(faces) == 7  # mtcnn 1.0 takes a playing card for a face, too
    for face in faces:
        area = face["facial_area"]
        assert face["face"].shape == (area["h"], area["w"], 3) and 0 < face["face"].max() <= 1
        assert area["x"] < area["right_eye"][0] < area["left_eye"][0] < area["x"] + area["w"]
        assert face["confidence"] >= 0.8
    largest = DeepFace.represent(photograph, max_faces=1)
    assert len(largest) == 1 and len(largest[0]["embedding"]) == 128
    (again,) = DeepFace.represent(faces[0]["face"][:, :, ::-1], detector_backend="skip")
    every = np.array([each["embedding"] for each in DeepFace.represent(photograph)])
    assert np.linalg.norm(every - again["embedding"], axis=1).min() < 0.01


def test_retinaface_gives_five_landmarks(
    shared_faces: Path, shared_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    photograph = str(shared_faces / "face_recognition" / "obama.jpg")
    (face,) = DeepFace.extract_faces(photograph, detector_backend="retinaface")
    assert {"nose", "mouth_left", "mouth_right"} < set(face["facial_area"])
