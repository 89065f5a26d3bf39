"""Pictures of results: what is drawn lies where it should, whatever the input."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.errors import InvalidImageArrayError, UsageError
from faceprint.types import Face, Image, OperatingPoint, Verification
from faceprint.vision import draw
from faceprint.vision.figure import comparison_figure, operating_point_words
from faceprint.vision.images import decode
from faceprint.vision.occlude import occlude

PHOTO = np.full((300, 400, 3), 90, np.uint8)
POINTS = np.array([[160, 120], [220, 120], [190, 155], [165, 185], [215, 185]], np.float32)
FACE = Face(np.array([130, 80, 250, 230], np.float32), 0.987, POINTS)
POINT = OperatingPoint(0.9, fmr=1e-3, source="LFW folds 1-5")


def changed(before: Image, after: Image) -> np.ndarray:
    return (before != after).any(axis=2)


def verification(similarity: float, point: OperatingPoint = POINT) -> Verification:
    return Verification(
        similarity, point.threshold, point, (FACE, FACE), (1, 1), "starter", "dlib-resnet"
    )


def figure(similarity: float = 0.95, **other: object) -> Image:
    values = {
        "title": "Two photographs",
        "images": (PHOTO, PHOTO),
        "verification": verification(similarity),
        "crops": (PHOTO[:150, :150], PHOTO[:112, :112]),
        "captions": ("a.jpg", "b.jpg"),
    }
    return comparison_figure(**(values | other))  # type: ignore[arg-type]


# --- draw_faces ----------------------------------------------------------------------------------


def test_faces_are_drawn_on_a_copy_and_only_at_the_faces() -> None:
    before = PHOTO.copy()
    drawn = draw.draw_faces(PHOTO, [FACE])
    np.testing.assert_array_equal(PHOTO, before)
    assert drawn.shape == PHOTO.shape
    assert drawn.flags.writeable
    mask = changed(PHOTO, drawn)
    rows, columns = np.nonzero(mask)
    assert columns.min() >= 125
    assert columns.max() <= 255
    assert rows.min() >= 50  # the label stands above the box
    assert rows.max() <= 235
    assert mask[80:231, 130].all()
    assert mask[230, 130:251].all()
    for x, y in POINTS.astype(int):
        assert (drawn[y, x] > 200).all()
    assert not mask[100, 190]


def test_label_and_landmarks_are_optional() -> None:
    bare = draw.draw_faces(PHOTO, [replace(FACE, landmarks=None)], labels=False)
    assert not changed(PHOTO, bare)[:78].any()
    assert not changed(PHOTO, bare)[90:220, 140:240].any()
    np.testing.assert_array_equal(draw.draw_faces(PHOTO, []), PHOTO)


def test_box_past_the_edge_shows_all_four_sides() -> None:
    drawn = draw.draw_faces(
        PHOTO, [Face(np.array([-50, -40, 500, 400], np.float32), 0.5, None)], labels=False
    )
    mask = changed(PHOTO, drawn)
    for side in (mask[:6], mask[-6:], mask[:, :6].T, mask[:, -6:].T):
        assert side.any(axis=0)[2:-2].all()
    assert not mask[10:-10, 10:-10].any()


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.lists(st.floats(-200, 200, width=32), min_size=4, max_size=4),
    st.lists(st.floats(-300, 300, width=32) | st.just(math.nan), min_size=10, max_size=10),
)
def test_any_face_on_any_photograph(
    size: tuple[int, int], box: list[float], points: list[float]
) -> None:
    photo = np.zeros((*size, 3), np.uint8)
    landmarks = np.array(points, np.float32).reshape(5, 2)
    face = Face(np.array(box, np.float32), 0.5, landmarks)
    assert draw.draw_faces(photo, [face]).shape == photo.shape
    finite = replace(face, landmarks=np.nan_to_num(landmarks))
    assert occlude(photo, finite).shape == photo.shape


def test_only_rgb_arrays() -> None:
    gray = np.zeros((5, 5), np.uint8)
    with pytest.raises(InvalidImageArrayError):
        draw.draw_faces(gray, [])
    with pytest.raises(InvalidImageArrayError):
        occlude(gray, FACE)
    with pytest.raises(InvalidImageArrayError):
        figure(images=(gray, PHOTO))


# --- occlude -------------------------------------------------------------------------------------


def inside(mask: np.ndarray, point: np.ndarray) -> bool:
    x, y = np.round(point).astype(int)
    return bool(mask[y, x])


@pytest.mark.parametrize("landmarks", [True, False])
def test_mask_covers_nose_and_mouth_and_leaves_the_eyes(landmarks: bool) -> None:
    face = FACE if landmarks else replace(FACE, landmarks=None)
    covered = occlude(PHOTO, face)
    mask = changed(PHOTO, covered)
    nose = POINTS[2] + (0, 8)  # its lower end; a box alone does not say where exactly
    points = [POINTS[0], POINTS[1], nose, POINTS[3], POINTS[4]]
    assert [inside(mask, point) for point in points] == [False, False, True, True, True]
    assert inside(mask, np.array([190, 222]))  # the chin
    colors = {tuple(color) for color in covered[170:200, 175:205].reshape(-1, 3)}
    assert len(colors) == 1  # opaque: nothing of the face shines through


@pytest.mark.parametrize("angle", [30, 90, 135, 180, 250])
def test_mask_turns_with_the_face(angle: int) -> None:
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    center = np.array([200, 150])
    turned = replace(FACE, landmarks=((POINTS - (190, 150)) @ matrix.T + center).astype(np.float32))
    mask = changed(PHOTO, occlude(PHOTO, turned))
    upright = changed(PHOTO, occlude(PHOTO, FACE))
    assert [inside(mask, point) for point in turned.landmarks] == [False, False, True, True, True]
    assert abs(int(mask.sum()) - int(upright.sum())) < 0.03 * upright.sum()


def test_mask_grows_with_the_face() -> None:
    small = changed(PHOTO, occlude(PHOTO, FACE)).sum()
    large = np.full((600, 800, 3), 90, np.uint8)
    doubled = replace(FACE, landmarks=POINTS * 2)
    assert changed(large, occlude(large, doubled)).sum() == pytest.approx(4 * small, rel=0.03)


# --- comparison_figure ---------------------------------------------------------------------------


def near(picture: Image, color: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture.astype(int) - color).max(axis=2) <= 6


GREEN, RED = (13, 122, 92), (190, 63, 34)


@pytest.mark.parametrize(
    ("similarity", "shown", "hidden"), [(0.95, GREEN, RED), (0.9, GREEN, RED), (0.2, RED, GREEN)]
)
def test_decision_and_place_on_the_scale(
    similarity: float, shown: tuple[int, int, int], hidden: tuple[int, int, int]
) -> None:
    picture = figure(similarity)
    assert picture.shape == (1080, 1920, 3)
    assert not near(picture, hidden).any()
    words, dot = near(picture[700:800], shown), near(picture[880:940], shown)
    assert words.sum() > 500
    columns = np.nonzero(dot)[1]
    expected = 96 + (similarity + 0.2) / 1.2 * (1920 - 2 * 96)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(expected, abs=2)
    ink = near(picture[884:888], (24, 32, 38)).all(axis=0)
    threshold = 96 + (0.9 + 0.2) / 1.2 * (1920 - 2 * 96)
    assert np.nonzero(ink)[0].mean() == pytest.approx(threshold, abs=2)


@pytest.mark.parametrize(
    ("similarity", "threshold"), [(-1.0, -1.0), (1.0, 1.0), (-0.0004, 0.5), (0.5, 1.0)]
)
def test_ends_of_the_scale_stay_on_the_sheet(similarity: float, threshold: float) -> None:
    picture = figure(verification=verification(similarity, replace(POINT, threshold=threshold)))
    assert (picture[:, :70] == 255).all()
    assert (picture[:, -70:] == 255).all()
    assert (picture[-10:] == 255).all()


def test_long_words_stay_in_their_places() -> None:
    long = "a_photograph_with_an_endless_name_" * 12
    point = replace(POINT, source="many words on where it comes from, " * 12)
    picture = figure(
        title=long,
        captions=(long + ".jpg", "Zoë " * 90),
        verification=replace(verification(0.5, point), pack="pack" * 60, embedder="embedder" * 60),
    )
    assert (picture[:, :90] == 255).all()
    assert (picture[:, -90:] == 255).all()
    assert (picture[790:830, 660:1260] == 255).all()  # between the captions
    assert (picture[990:1070, 1065:1120] == 255).all()  # between the footers
    assert (picture[-10:] == 255).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3000, 3), (3000, 2, 3)])
def test_photographs_of_any_shape(shape: tuple[int, int, int]) -> None:
    assert figure(images=(np.zeros(shape, np.uint8), PHOTO)).shape == (1080, 1920, 3)


def test_real_photographs_give_three_different_figures() -> None:
    folder = resources.files("faceprint") / "samples"
    photos = [decode((folder / f"{name}.jpg").read_bytes()) for name in ("obama", "collins")]
    one = figure(images=(photos[0], photos[1]))
    other = figure(images=(photos[1], photos[0]))
    assert changed(one, other).any()
    np.testing.assert_array_equal(one, figure(images=(photos[0], photos[1])))


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (POINT, "FMR 1 in 1,000, LFW folds 1-5"),
        (replace(POINT, fmr=1e-2, source=""), "FMR 1 in 100"),
        (replace(POINT, fmr=0.0), "FMR 0, LFW folds 1-5"),
        (OperatingPoint(0.5, source="given by the caller"), "threshold: given by the caller"),
        (OperatingPoint(0.5), "threshold: without a measured error rate"),
        (
            OperatingPoint(0.5, source="by X", evidence="published"),
            "threshold published, not measured here: by X",
        ),
        (OperatingPoint(0.5, source="lent", evidence="borrowed"), "provisional: lent"),
    ],
)
def test_operating_points_in_words(point: OperatingPoint, words: str) -> None:
    assert operating_point_words(point) == words


# --- text and files ------------------------------------------------------------------------------


@given(st.text(max_size=80), st.integers(30, 400))
@settings(max_examples=100, deadline=None)
def test_text_fits_and_can_be_drawn(text: str, width: int) -> None:
    chosen = draw.font(20)
    short = draw.shortened(text, chosen, width)
    assert short.isascii()
    assert chosen.getlength(short) <= width
    lines = draw.wrapped(text, chosen, width, 2)
    assert len(lines) <= 2
    assert all(chosen.getlength(line) <= width for line in lines)


def test_plain_letters() -> None:
    assert draw.plain("Zoë \u2013 \u201cÅngström\u201d\n\u00d72") == 'Zoe - "Angstrom" x2'
    assert draw.plain("写真.jpg") == "??.jpg"


def test_png_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_text("before")
    draw.save_png(PHOTO, path)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(path)), PHOTO)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


def test_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    path.write_text("before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PIL.Image.Image, "save", full)
    with pytest.raises(UsageError, match=r"out\.png: can't be written: No space left"):
        draw.save_png(PHOTO, path)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        draw.save_png(PHOTO, tmp_path / "nowhere" / "out.png")


def test_each_face_has_its_own_label() -> None:
    other = replace(FACE, box=FACE.box + np.float32(40))
    drawn = draw.draw_faces(PHOTO, [FACE, other], labels=["1", "Zoë"])
    numbers = [f"{face.score:.3f}" for face in (FACE, other)]
    same = draw.draw_faces(PHOTO, [FACE, other], labels=numbers)
    np.testing.assert_array_equal(draw.draw_faces(PHOTO, [FACE, other]), same)
    assert (drawn != same).any()
    with pytest.raises(ValueError, match="zip"):
        draw.draw_faces(PHOTO, [FACE, other], labels=["1"])
