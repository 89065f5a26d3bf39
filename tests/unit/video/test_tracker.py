from __future__ import annotations

import numpy as np

from faceprint.video.tracker import Step, Tracker, TrackerOptions

ADA, BOB = np.eye(4, dtype=np.float32)[:2]
POOR = np.full(4, np.nan, np.float32)
OPTIONS = TrackerOptions(loose=0.5, strict=0.8)


def box(x: float, y: float = 100.0, size: float = 40.0) -> list[float]:
    return [x - size / 2, y - size / 2, x + size / 2, y + size / 2]


def step(tracker: Tracker, time: float, *faces: tuple[list[float], np.ndarray]) -> Step:
    boxes = np.asarray([b for b, _ in faces], np.float32).reshape(-1, 4)
    embeddings = np.asarray([e for _, e in faces], np.float32).reshape(-1, 4)
    return tracker.update(time, boxes, embeddings)


def test_a_face_that_moves_is_one_track() -> None:
    tracker = Tracker(OPTIONS)
    keys = [step(tracker, i / 10, (box(50 + 15 * i), ADA)).keys.tolist() for i in range(10)]
    assert keys == [[0]] * 10
    assert tracker.cut().ended == (0,)


def test_two_who_cross_keep_their_tracks() -> None:
    """Their boxes coincide in the middle, where one hides the other for three frames."""
    tracker = Tracker(OPTIONS)
    for i in range(21):
        right, left = (box(50 + 10 * i), ADA), (box(250 - 10 * i), BOB)
        found = step(tracker, i / 10, right, *([] if 9 <= i <= 11 else [left]))
        assert found.keys.tolist() == [0, 1][: len(found.keys)], i


def test_where_only_boxes_are_known_the_motion_decides() -> None:
    tracker = Tracker()
    for i in range(21):
        found = step(tracker, i / 10, (box(50 + 10 * i), ADA), (box(250 - 10 * i, 125), BOB))
        assert found.keys.tolist() == [0, 1], i


def test_a_good_face_does_not_join_a_track_that_it_does_not_resemble() -> None:
    tracker = Tracker(OPTIONS)
    for i in range(3):
        step(tracker, i / 10, (box(100), ADA))
    assert step(tracker, 0.3, (box(100), BOB)).keys.tolist() == [1]


def test_a_poor_face_continues_a_track_by_its_box_and_leaves_the_embedding_alone() -> None:
    tracker = Tracker(OPTIONS)
    for i in range(3):
        step(tracker, i / 10, (box(100), ADA))
    assert step(tracker, 0.3, (box(102), POOR)).keys.tolist() == [0]
    assert step(tracker, 0.4, (box(104), ADA)).keys.tolist() == [0]
    assert step(tracker, 0.5, (box(300), POOR)).keys.tolist() == [1]


def test_good_faces_choose_before_poor_ones() -> None:
    """The poor face lies better on the track, but the good one is known to be the person."""
    tracker = Tracker(OPTIONS)
    for i in range(3):
        step(tracker, i / 10, (box(100), ADA))
    assert step(tracker, 0.3, (box(100), POOR), (box(115), ADA)).keys.tolist() == [1, 0]


def test_a_jump_is_followed_by_a_face_that_surely_is_the_person() -> None:
    tracker = Tracker(OPTIONS)
    for i in range(3):
        step(tracker, i / 10, (box(100), ADA))
    assert step(tracker, 0.3, (box(160), ADA)).keys.tolist() == [0]
    assert step(tracker, 0.4, (box(400), ADA)).keys.tolist() == [1]


def test_a_face_found_again_in_time_is_the_same_track_and_later_another() -> None:
    tracker = Tracker(OPTIONS)
    for i in range(3):
        step(tracker, i / 10, (box(100), ADA))
    for i in range(3, 10):
        step(tracker, i / 10)
    assert step(tracker, 1.0, (box(100), ADA)).keys.tolist() == [0]
    for i in range(11, 25):
        found = step(tracker, i / 10)
        if found.ended:
            break
    assert found.ended == (0,) and i == 21
    assert step(tracker, 2.6, (box(100), ADA)).keys.tolist() == [1]


def test_rare_frames_do_not_end_tracks() -> None:
    """On a slow machine two analyzed frames may be further apart than the longest gap."""
    tracker = Tracker(OPTIONS)
    keys = [step(tracker, 3.0 * i, (box(100), ADA)).keys.tolist() for i in range(4)]
    assert keys == [[0]] * 4


def test_a_face_of_one_frame_is_no_track() -> None:
    tracker = Tracker(OPTIONS)
    step(tracker, 0.0, (box(100), ADA))
    assert step(tracker, 0.1).dropped == (0,)
    step(tracker, 0.2, (box(100), ADA))
    last = tracker.cut()
    assert (last.ended, last.dropped) == ((), (1,))


def test_a_scene_of_one_frame_has_its_faces() -> None:
    tracker = Tracker(OPTIONS)
    step(tracker, 0.0, (box(100), ADA), (box(200), BOB))
    assert tracker.cut().ended == (0, 1)
    step(tracker, 0.1, (box(100), ADA))
    last = tracker.cut()
    assert last.ended == (2,), "a cut begins a new scene, and keys are not used again"
    assert tracker.cut().ended == ()


def test_births_are_counted() -> None:
    tracker = Tracker(TrackerOptions(births=3, loose=0.5, strict=0.8))
    for i in range(2):
        step(tracker, i / 10, (box(100), ADA))
    assert step(tracker, 0.2).dropped == (0,)


def test_many_frames_without_faces_keep_nothing() -> None:
    tracker = Tracker(OPTIONS)
    for i in range(1000):
        step(tracker, i / 10, *([(box(100), ADA)] if i < 3 else []))
    assert tracker._states == []
