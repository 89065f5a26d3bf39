"""The drop-in's arithmetic, arguments and errors, which need no photograph of a face."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceprint import errors
from faceprint.compat.deepface import DeepFace
from faceprint.compat.deepface.distances import distances
from faceprint.compat.deepface.faces import Cutting, cut_faces
from faceprint.compat.deepface.models import MODELS
from faceprint.compat.deepface.photos import load_photo

BLANK = np.full((120, 160, 3), 127, np.uint8)
SKIP = {"detector_backend": "skip"}


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (30, 20), (255, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_distances() -> None:
    known = [[3.0, 4.0], [0.0, 2.0]]
    assert distances(known, [3, 4], "cosine").tolist() == [0, 0.2]
    assert distances(known, [3, 4], "euclidean").tolist() == [0, 3.605551]
    assert distances(known, [6, 8], "euclidean_l2").tolist() == [0, 0.632456]
    assert distances([[0, 1]], [1, 0], "angular").tolist() == [0.5]
    assert distances([[0, 0]], [1, 0], "cosine").tolist() == [1]
    with pytest.raises(errors.UsageError, match="can't be compared"):
        distances(known, [1, 2, 3], "cosine")


def test_photographs_come_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png())
    text = "data:image/png;base64," + base64.b64encode(png()).decode()
    blue = np.zeros((20, 30, 3), np.uint8)
    blue[:, :, 2] = 255  # BGR: red
    forms = (str(tmp_path / "red.png"), tmp_path / "red.png", text, io.BytesIO(png()), blue)
    for form in (*forms, blue / 255, blue.astype(np.float32)):
        pixels, _ = load_photo(form)
        assert pixels.shape == (20, 30, 3) and pixels[0, 0].tolist() == [255, 0, 0]


def test_what_is_no_photograph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="not fetched from the web"):
        load_photo("https://example.com/a.jpg")
    with pytest.raises(FileNotFoundError):
        load_photo(tmp_path / "missing.jpg")
    with pytest.raises(errors.DecodeError, match="base64"):
        load_photo("data:image/png;base64,???")
    with pytest.raises(errors.InvalidImageArrayError):
        load_photo(np.full((4, 4, 3), np.nan))
    for wrong in (io.StringIO("text"), 3, b"bytes"):
        with pytest.raises(errors.UsageError):
            load_photo(wrong)


def test_embeddings_are_compared_without_a_photograph() -> None:
    vector = [1.0] + [0.0] * 127
    answer = DeepFace.verify(vector, vector)
    assert answer["verified"] is True and answer["distance"] == 0 and answer["threshold"] == 0.07
    assert answer["facial_areas"]["img1"]["x"] is None
    assert set(answer) == {
        *("verified", "distance", "threshold", "model", "detector_backend"),
        *("similarity_metric", "facial_areas", "time"),
    }
    other = DeepFace.verify(vector, vector[::-1], distance_metric="euclidean", threshold=1.4)
    assert other["verified"] is False and other["threshold"] == 1.4
    with pytest.raises(KeyError, match="compare distance with threshold"):
        answer["confidence"]
    with pytest.raises(errors.UsageError, match="128 numbers"):
        DeepFace.verify([1.0], vector)
    with pytest.raises(errors.UsageError, match="numbers alone"):
        DeepFace.verify(["a.jpg"], vector)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"model_name": "VGG-Face"}, "Take Dlib or SFace or Buffalo_L"),
        ({"model_name": "ArcFace"}, "another network"),
        ({"detector_backend": "opencv"}, "Take mtcnn or yunet or retinaface"),
        ({"distance_metric": "manhattan"}, "'cosine' or"),
        ({"normalization": "Facenet"}, "'base'"),
        ({"anti_spoofing": True}, "liveness"),
        ({"expand_percentage": -1}, "expand_percentage"),
    ],
)
def test_what_is_not_covered_says_what_to_call(arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(errors.UsageError, match=reason):
        DeepFace.verify(BLANK, BLANK, **arguments)  # type: ignore[arg-type]


def test_other_functions_say_what_to_call() -> None:
    with pytest.raises(errors.UsageError, match="age, gender"):
        DeepFace.analyze("a.jpg", actions=["age"])
    for name, instead in (("stream", "serve"), ("register", "enroll"), ("nothing", "no such")):
        with pytest.raises(AttributeError, match=instead):
            getattr(DeepFace, name)


def test_photographs_without_a_face() -> None:
    with pytest.raises(errors.NoFaceError, match="enforce_detection=False"):
        DeepFace.extract_faces(BLANK)
    (whole,) = DeepFace.extract_faces(BLANK, enforce_detection=False)
    assert whole["confidence"] == 0 and whole["face"].shape == BLANK.shape
    area = whole["facial_area"]
    assert (area["x"], area["y"], area["w"], area["h"]) == (0, 0, 159, 119)
    assert area["left_eye"] is None


def test_the_whole_photograph_is_embedded_with_skip() -> None:
    (one,) = DeepFace.represent(BLANK, **SKIP)
    assert len(one["embedding"]) == 128 and one["face_confidence"] == 0
    (unit,) = DeepFace.represent(BLANK, l2_normalize=True, **SKIP)
    assert np.linalg.norm(unit["embedding"]) == pytest.approx(1)
    batch = DeepFace.represent([BLANK, BLANK], **SKIP)
    assert [len(each) for each in batch] == [1, 1]
    assert len(DeepFace.extract_faces(np.stack([BLANK, BLANK]), **SKIP)) == 2
    with pytest.raises(errors.UsageError, match="not covered"):
        DeepFace.represent(BLANK, return_face=True, **SKIP)


def test_faces_come_in_the_color_asked_for() -> None:
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[:, :, 0] = 255
    (rgb,) = DeepFace.extract_faces(blue, **SKIP)
    assert rgb["face"][0, 0].tolist() == [0, 0, 1]
    (bgr,) = DeepFace.extract_faces(blue, color_face="bgr", normalize_face=False, **SKIP)
    assert bgr["face"][0, 0].tolist() == [255, 0, 0]
    (gray,) = DeepFace.extract_faces(blue, grayscale=True, **SKIP)
    assert gray["face"].shape == (8, 8)
    with pytest.raises(errors.UsageError, match="color_face"):
        DeepFace.extract_faces(blue, color_face="hsv", **SKIP)


def test_a_level_face_is_cut_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from faceprint.compat.deepface import faces
    from faceprint.compat.deepface.detection import Region

    random = np.random.default_rng(0)
    image = random.integers(0, 255, (60, 80, 3), np.uint8)
    points = {"left_eye": (40 + 35, 30 + 20), "right_eye": (40 + 25, 30 + 20)}  # with the border
    region = Region((40 + 20, 30 + 10, 21, 30), 0.97, points)
    monkeypatch.setattr(faces, "detect", lambda backend, searched: [region])
    (face,) = cut_faces(image, "a", Cutting("mtcnn"))
    assert np.array_equal(face.crop, image[10:40, 20:41])
    assert face.region.box == (20, 10, 21, 30)
    assert face.region.points["left_eye"] == (35, 20)
    (wide,) = cut_faces(image, "a", Cutting("mtcnn", expand=50))
    assert wide.region.box == (15, 3, 31, 45)


def test_thresholds_are_there_for_every_metric() -> None:
    for recognizer in MODELS.values():
        assert set(recognizer.thresholds) == {"cosine", "euclidean", "euclidean_l2", "angular"}


def test_install_takes_the_name() -> None:
    program = (
        "from faceprint.compat import deepface as ours; ours.install();"
        "from deepface import DeepFace; import deepface.DeepFace as other;"
        "assert DeepFace is ours.DeepFace is other"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_large_photographs_get_a_narrower_border(monkeypatch: pytest.MonkeyPatch) -> None:
    from faceprint.compat.deepface import faces

    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        faces, "detect", lambda backend, searched: seen.append(searched.shape) or []
    )
    for most in ("100000", "19200", "30000"):
        monkeypatch.setenv("FACEPRINT_MAX_PIXELS", most)
        cut_faces(BLANK, "a", Cutting("mtcnn", enforce=False))
    assert seen == [(240, 320, 3), (120, 160, 3), (150, 200, 3)]
