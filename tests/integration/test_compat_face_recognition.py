"""The drop-in for face_recognition beside dlib, and under the original's own tests."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from faceprint.compat import face_recognition

RUNNER = Path(__file__).resolve().parents[1] / "original_face_recognition.py"
PHOTOS = ("obama.jpg", "obama2.jpg", "biden.jpg")

DLIB_BOXES = {  # dlib's frontal detector to the pixel
    "test_face_locations",
    "test_partial_face_locations",
    "test_raw_face_locations",
    "test_raw_face_locations_32bit_image",
}
LANDMARKS_68 = {"test_face_landmarks", "test_raw_face_landmarks"}  # need dlib's predictor
DLIB_NETWORK_BOXES = {  # dlib's network to the pixel, or to 25 pixels
    "test_batched_face_locations",
    "test_cnn_raw_face_locations_32bit_image",
    "test_raw_face_locations_batched",
}
DLIB_FIVE_POINTS = {"test_face_landmarks_small_model"}  # dlib's five-point predictor to the pixel

Fetch = Callable[[str], Path]


@pytest.fixture(scope="session")
def fetch(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """Maps a requirement to the folder of its source archive, fetched by pip and unpacked."""

    def fetched(requirement: str) -> Path:
        folder = tmp_path_factory.mktemp("source")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", str(folder), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = f"pip can't fetch {requirement}: {done.stderr[-400:]}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
        return unpacked

    return fetched


@pytest.fixture(scope="session")
def original_tests(fetch: Fetch, shared_faces: Path) -> Path:
    tests = fetch("face_recognition==1.3.0") / "tests"
    # The archive lacks one of the photographs that its tests read.
    name = "obama_partial_face2.jpg"
    if not (tests / "test_images" / name).exists():
        content = (shared_faces / "face_recognition" / name).read_bytes()
        (tests / "test_images" / name).write_bytes(content)
    return tests / "test_face_recognition.py"


@pytest.fixture(scope="session")
def dlib_models(fetch: Fetch) -> Path:
    return fetch("face_recognition_models==0.3.0") / "face_recognition_models" / "models"


@pytest.fixture
def photographs(shared_faces: Path) -> list[NDArray[np.uint8]]:
    folder = shared_faces / "face_recognition"
    return [face_recognition.load_image_file(folder / name) for name in PHOTOS]


def failures(tests: Path, **environment: str) -> set[str]:
    """The original's tests that fail."""
    command = [sys.executable, str(RUNNER), str(tests)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert len(answer["tests"]) == 30
    return set(answer["failed"])


@pytest.mark.network
def test_the_originals_tests_pass_but_for_dlibs_pixels(original_tests: Path) -> None:
    expected = DLIB_BOXES | LANDMARKS_68 | DLIB_NETWORK_BOXES | DLIB_FIVE_POINTS
    missing = original_tests.parent / "no file"
    assert failures(original_tests, FACEPRINT_DLIB_LANDMARKS=str(missing)) == expected


@pytest.mark.network
def test_with_dlib_most_of_those_pass_too(original_tests: Path, dlib_models: Path) -> None:
    pytest.importorskip("dlib")
    predictor = dlib_models / "shape_predictor_68_face_landmarks.dat"
    found = failures(
        original_tests,
        FACEPRINT_COMPAT_DETECTOR="dlib",
        FACEPRINT_DLIB_LANDMARKS=str(predictor),
    )
    assert found == DLIB_NETWORK_BOXES | DLIB_FIVE_POINTS


@pytest.mark.network
def test_encodings_are_close_to_dlibs_and_decide_alike(
    photographs: list[NDArray[np.uint8]], dlib_models: Path
) -> None:
    dlib: Any = pytest.importorskip("dlib")
    network = dlib.face_recognition_model_v1(
        str(dlib_models / "dlib_face_recognition_resnet_model_v1.dat")
    )
    predictor = dlib.shape_predictor(str(dlib_models / "shape_predictor_5_face_landmarks.dat"))
    detector = dlib.get_frontal_face_detector()
    ours, theirs = [], []
    for image in photographs:
        (found,) = face_recognition.face_encodings(image)
        (box,) = detector(image, 1)
        shape = predictor(image, box)
        expected = np.array(network.compute_face_descriptor(image, shape, 1))
        assert np.linalg.norm(found - expected) <= 0.25
        ours.append(found)
        theirs.append(expected)
        edges = box.top(), box.right(), box.bottom(), box.left()
        (known,) = face_recognition.face_encodings(image, [edges])
        assert np.linalg.norm(known - expected) <= 0.25
    for a, b in itertools.combinations(range(len(PHOTOS)), 2):
        (match,) = face_recognition.compare_faces([ours[a]], ours[b])
        assert match == bool(np.linalg.norm(theirs[a] - theirs[b]) <= 0.6)


def test_a_box_without_a_detection_still_gives_its_face(
    photographs: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceprint.compat.face_recognition import detection

    image = photographs[0]
    (box,) = face_recognition.face_locations(image)
    (found,) = face_recognition.face_encodings(image, [box])
    monkeypatch.setattr(detection, "_overlapping", lambda found, box: None)
    (mean,) = face_recognition.face_encodings(image, [box])
    assert 0 < np.linalg.norm(found - mean) < 0.6
    (stranger,) = face_recognition.face_encodings(photographs[2])
    assert np.linalg.norm(found - mean) < np.linalg.norm(stranger - mean)


def test_resampled_faces_are_the_same_person_and_the_same_each_time(
    photographs: list[NDArray[np.uint8]],
) -> None:
    (once,) = face_recognition.face_encodings(photographs[0])
    (often,) = face_recognition.face_encodings(photographs[0], num_jitters=8)
    (again,) = face_recognition.face_encodings(photographs[0], num_jitters=8)
    assert 0 < np.linalg.norm(once - often) < 0.3
    assert np.array_equal(often, again)
