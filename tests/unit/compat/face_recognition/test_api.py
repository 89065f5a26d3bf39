"""The drop-in's arithmetic, arguments and errors, which need no photograph of a face."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceprint import errors
from faceprint.compat import face_recognition
from faceprint.compat.face_recognition import api, dlib_parts

BLANK = np.full((120, 160, 3), 127, np.uint8)


def test_distances_are_euclidean_and_the_tolerance_is_included() -> None:
    known = [[0.0, 0.0], [3.0, 4.0]]
    assert face_recognition.face_distance(known, np.zeros(2)).tolist() == [0, 5]
    assert face_recognition.compare_faces(known, np.zeros(2), tolerance=5) == [True, True]
    assert face_recognition.compare_faces(known, np.zeros(2)) == [True, False]
    assert face_recognition.compare_faces([], np.zeros(2)) == []
    with pytest.raises(errors.UsageError, match="can't be compared"):
        face_recognition.face_distance(known, np.zeros(3))


def test_photographs_come_from_paths_and_open_files(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (255, 0, 0)).save(tmp_path / "red.png")
    found = face_recognition.load_image_file(tmp_path / "red.png")
    assert found.shape == (20, 30, 3) and found[0, 0].tolist() == [255, 0, 0]
    stream = io.BytesIO((tmp_path / "red.png").read_bytes())
    assert face_recognition.load_image_file(stream, mode="L").shape == (20, 30)
    with pytest.raises(FileNotFoundError):
        face_recognition.load_image_file("missing.jpg")
    with pytest.raises(errors.UsageError, match="'RGB' or 'L'"):
        face_recognition.load_image_file(tmp_path / "red.png", mode="CMYK")


def test_an_image_without_faces_gives_empty_lists() -> None:
    assert face_recognition.face_locations(BLANK) == []
    assert face_recognition.face_locations(BLANK[:, :, 0], model="cnn") == []
    assert face_recognition.batch_face_locations([BLANK, BLANK], batch_size=1) == [[], []]
    assert face_recognition.face_encodings(BLANK) == []
    assert face_recognition.face_encodings(BLANK, []) == []
    assert face_recognition.face_landmarks(BLANK, model="small") == []


def test_each_known_box_has_an_encoding_and_landmarks() -> None:
    boxes = [(20, 100, 80, 40), (0, 60, 60, 0)]
    assert [len(each) for each in face_recognition.face_encodings(BLANK, boxes)] == [128, 128]
    first, _ = face_recognition.face_landmarks(BLANK, boxes, model="small")
    assert {name: len(points) for name, points in first.items()} == {
        "nose_tip": 1,
        "left_eye": 2,
        "right_eye": 2,
    }
    xs = [x for name in ("left_eye", "nose_tip") for x, _ in first[name]]
    assert 40 < xs[0] < xs[1] < xs[2] < 100  # outer corner, inner corner, nose
    assert first["right_eye"][0][0] > first["right_eye"][1][0] > xs[2]


@pytest.mark.parametrize(
    "box", [(1, 2, 3), (5, 9, 5, 1), (1, 1, 9, 5), "none", (200, 290, 260, 230)]
)
def test_boxes_that_are_none_are_refused(box: object) -> None:
    with pytest.raises(errors.UsageError, match="box"):
        face_recognition.face_encodings(BLANK, [box])  # type: ignore[list-item]


def test_wrong_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.UsageError, match="'hog' or 'cnn'"):
        face_recognition.face_locations(BLANK, model="other")
    with pytest.raises(errors.UsageError, match="'small' or 'large'"):
        face_recognition.face_encodings(BLANK, model="cnn")
    with pytest.raises(errors.UsageError, match="upsample"):
        face_recognition.face_locations(BLANK, -1)
    with pytest.raises(errors.ImageTooLargeError):
        face_recognition.face_locations(BLANK, 20)
    with pytest.raises(errors.UsageError, match="num_jitters"):
        face_recognition.face_encodings(BLANK, num_jitters=0)
    with pytest.raises(errors.UsageError, match="batch_size"):
        face_recognition.batch_face_locations([BLANK], batch_size=0)
    with pytest.raises(errors.InvalidImageArrayError, match="float"):
        face_recognition.face_locations(np.zeros((9, 9, 3)))
    monkeypatch.setenv("FACEPRINT_COMPAT_DETECTOR", "other")
    with pytest.raises(errors.UsageError, match="FACEPRINT_COMPAT_DETECTOR"):
        face_recognition.face_locations(BLANK)


def test_without_dlib_68_landmarks_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACEPRINT_DLIB_LANDMARKS", str(tmp_path / "missing.dat"))
    with pytest.raises(errors.ModelMissingError, match="FACEPRINT_DLIB_LANDMARKS"):
        face_recognition.face_landmarks(BLANK)
    (tmp_path / "missing.dat").write_bytes(b"not a predictor")
    monkeypatch.setitem(sys.modules, "dlib", None)
    dlib_parts._predictor.cache_clear()
    with pytest.raises(errors.MissingExtraError, match="pip install dlib-bin"):
        face_recognition.face_landmarks(BLANK)


def test_a_damaged_predictor_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    (tmp_path / "damaged.dat").write_bytes(b"not a predictor")
    monkeypatch.setenv("FACEPRINT_DLIB_LANDMARKS", str(tmp_path / "damaged.dat"))
    with pytest.raises(errors.ModelMissingError, match="can't read it"):
        face_recognition.face_landmarks(BLANK)


def test_install_gives_the_originals_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", ".api", ".face_recognition_cli", ".face_detection_cli"):
        monkeypatch.delitem(sys.modules, f"face_recognition{name}", raising=False)
    face_recognition.install()
    assert sys.modules["face_recognition"] is face_recognition
    assert sys.modules["face_recognition.api"] is api
    for name in ("", ".api", ".face_recognition_cli", ".face_detection_cli"):
        monkeypatch.delitem(sys.modules, f"face_recognition{name}")
