"""Landmarks that can't be a face's, by hand-made faces."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.types import Array
from faceprint.vision.plausible import inside, plausible
from faceprint.vision.quality import assess

BOX = np.asarray((0, 0, 100, 120), np.float32)
FRONTAL = np.asarray(((30, 45), (70, 45), (50, 68), (34, 92), (66, 92)), np.float32)
PROFILE = np.asarray(((62, 44), (68, 44), (88, 66), (66, 90), (70, 90)), np.float32)


def rolled(points: Array, degrees: float) -> Array:
    """The points turned about the middle of the box."""
    angle = np.deg2rad(degrees)
    turn = np.asarray(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    middle = np.asarray((50, 60))
    return np.asarray((points - middle) @ turn.T + middle, np.float32)


def square(points: Array) -> Array:
    """A box around rolled points, as a detector would give it."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return np.concatenate((middle - 55, middle + 55)).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 30, -45, 90, 180])
def test_a_face_is_plausible_at_any_roll(degrees: float) -> None:
    points = rolled(FRONTAL, degrees)
    assert plausible(points, square(points))


def test_profiles_are_plausible() -> None:
    assert plausible(PROFILE, BOX)
    mirrored = PROFILE * np.asarray((-1, 1)) + np.asarray((100, 0))
    assert plausible(mirrored[[1, 0, 2, 4, 3]].astype(np.float32), BOX)


WRONG = {
    "the eyes below the mouth": FRONTAL[[3, 4, 2, 0, 1]],
    "left and right exchanged": FRONTAL[[1, 0, 2, 4, 3]],
    "the mouth's corners exchanged": FRONTAL[[0, 1, 2, 4, 3]],
    "all in one place": np.full((5, 2), 50, np.float32),
    "all on one line": np.stack((np.full(5, 50), np.linspace(30, 90, 5)), axis=1),
    "a point far outside": np.concatenate((FRONTAL[:4], ((150, 92),))),
    "the nose above the eyes": np.concatenate((FRONTAL[:2], ((50, 30),), FRONTAL[3:])),
    "the nose below the mouth": np.concatenate((FRONTAL[:2], ((50, 99),), FRONTAL[3:])),
    "a narrow mouth": np.concatenate((FRONTAL[:3], ((46, 92), (54, 92)))),
    "the left half squeezed": np.asarray(((68, 45), (90, 45), (58, 68), (68, 70), (86, 70))),
    "not a number": np.full((5, 2), np.nan, np.float32),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_face(name: str) -> None:
    points = np.asarray(WRONG[name], np.float32)
    assert not plausible(points, BOX)
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    with np.errstate(invalid="ignore"):
        quality = assess(BOX, points, crop)
    assert quality.value == 0 and not quality.landmarks_plausible


@pytest.mark.parametrize(
    ("moved", "shown"),
    [((0, 0), True), ((-25, 0), True), ((-27, 0), False), ((0, -42), False), ((80, 0), False)],
)
def test_a_face_that_the_edge_cuts_is_not_trusted(moved: tuple[int, int], shown: bool) -> None:
    """The outermost landmark stays a tenth of the eyes' distance, 4 pixels, inside."""
    points, box = FRONTAL + np.float32(moved), BOX + np.float32(moved * 2)
    assert plausible(points, box)
    assert inside(points, (120, 120)) == shown
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    quality = assess(box, points, crop, (120, 120))
    assert quality.landmarks_plausible == shown == (quality.value > 0)
    assert assess(box, points, crop).landmarks_plausible  # nobody knows where the edge is


def test_a_face_without_landmarks_is_not_doubted() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    assert assess(BOX, None, crop, (50, 50)).landmarks_plausible
