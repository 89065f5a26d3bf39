from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from video_clips import RATE, Clip, clip, scene, write

import faceprint
from faceprint.errors import InputError, UsageError
from faceprint.geometry import iou_matrix
from faceprint.video.analyze import analyze_video
from faceprint.video.options import VideoOptions, VideoProgress
from faceprint.video.track import Track
from faceprint.vision.analyzer import FaceAnalyzer

EVERY_THIRD = VideoOptions(every=3)


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return faceprint.load(threads=1)


@pytest.fixture(scope="module")
def gallery(
    analyzer: FaceAnalyzer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[faceprint.Gallery]:
    """Obama, from another photograph than the clips', and Biden."""
    samples = Path(str(resources.files("faceprint") / "samples"))
    path = tmp_path_factory.mktemp("gallery") / "people.db"
    with faceprint.Gallery.open(path, analyzer) as opened:
        opened.enroll("Barack Obama", samples / "obama2.jpg")
        opened.enroll("Joe Biden", samples / "biden.jpg")
        yield opened


def shown(track: Track, made: Clip) -> set[str]:
    """The people whose faces the track follows, by the truth of the clip."""
    names = set()
    for time, box in zip(track.times, track.boxes, strict=True):
        truth = made.truth[round(time * RATE)]
        for name, expected in truth.items():
            if iou_matrix(box[None], np.asarray([expected], np.float32))[0, 0] > 0.5:
                names.add(name)
    return names


def analyzed(name: str, folder: Path, analyzer: FaceAnalyzer, **how: object) -> list[Track]:
    made = clip(name)
    path = write(folder / f"{name}.mp4", made.frames, made.times)
    return list(analyze_video(path, analyzer, **{"options": EVERY_THIRD} | how))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["pan", "zoom", "occlusion", "fade"])
def test_one_person_is_one_track(tmp_path: Path, analyzer: FaceAnalyzer, name: str) -> None:
    (track,) = analyzed(name, tmp_path, analyzer)
    assert shown(track, clip(name)) == {"obama"}
    seen = [i / RATE for i, faces in enumerate(clip(name).truth) if faces]
    assert track.start <= seen[0] + 0.3 and track.end >= seen[-1] - 0.3
    assert track.number == 1 and track.subject is None and track.reason == ""
    assert 1 <= len(track.faces) <= 10 and track.rejected == 0
    assert (np.diff(track.times) > 0).all()


def test_two_who_cross_keep_their_names(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery
) -> None:
    tracks = analyzed("crossing", tmp_path, analyzer, gallery=gallery)
    for track in tracks:
        assert len(shown(track, clip("crossing"))) == 1, "a track shows one person"
    named = {track.subject: shown(track, clip("crossing")) for track in tracks}
    assert named == {"Barack Obama": {"obama"}, "Joe Biden": {"biden"}}
    assert sum(track.subject == "Barack Obama" for track in tracks) == 1, "never hidden: one track"


@pytest.mark.parametrize("name", ["pillar", "swap"])
def test_two_who_cross_unseen_keep_their_names(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery, name: str
) -> None:
    tracks = analyzed(name, tmp_path, analyzer, gallery=gallery)
    assert len(tracks) == 4, "two before, two after"
    right = {"Barack Obama": {"obama"}, "Joe Biden": {"biden"}}
    assert all(shown(track, clip(name)) == right[str(track.subject)] for track in tracks)


def test_a_cut_ends_a_track_even_where_the_next_face_is_at_the_same_place(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery
) -> None:
    first, second = analyzed("cut", tmp_path, analyzer, gallery=gallery)
    assert (first.subject, second.subject) == ("Barack Obama", "Joe Biden")
    assert first.end < 40 / RATE <= second.start
    assert second.start == pytest.approx(40 / RATE, abs=0.002), "the first frame after a cut counts"


def test_who_comes_back_is_another_track_of_the_same_subject(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery
) -> None:
    first, second = analyzed("comes_back", tmp_path, analyzer, gallery=gallery)
    assert (first.number, second.number) == (1, 2)
    assert first.subject == second.subject == "Barack Obama"
    assert first.end < 1.4 and second.start > 3.0


def test_a_crowd_is_a_track_each_and_a_stranger_has_no_name(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery
) -> None:
    tracks = analyzed("crowd", tmp_path, analyzer, gallery=gallery)
    named = {next(iter(shown(track, clip("crowd")))): track.subject for track in tracks}
    assert len(tracks) == 3
    assert named == {"obama": "Barack Obama", "biden": "Joe Biden", "collins": None}


def test_a_line_of_json(tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery) -> None:
    (track,) = analyzed("pan", tmp_path, analyzer, gallery=gallery)
    line = track.to_dict()
    assert list(line)[:5] == ["track", "subject", "start", "end", "similarity"]
    assert line["subject"] == "Barack Obama" and line["decidable"] and line["reason"] is None
    assert line["similarity"] == line["candidates"][0]["similarity"] >= line["threshold"]
    assert line["detections"] == len(track.times) and line["faces"] == len(track.faces)
    rate = line["fpir_asked"], line["fpir_per"], line["templates"]
    assert rate == (0.01, "track", 2) and line["measured_on"][0]["fpir"] == 0.0097


def test_the_box_between_two_analyzed_frames(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    (track,) = analyzed("pan", tmp_path, analyzer)
    for number in (10, 25, 43):
        box = track.box_at(number / RATE)
        truth = np.asarray([clip("pan").truth[number]["obama"]], np.float32)
        assert box is not None and iou_matrix(box[None], truth)[0, 0] > 0.7
    assert track.box_at(track.start - 0.01) is None and track.box_at(track.end + 0.01) is None


def test_a_video_of_one_frame(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    path = write(tmp_path / "one.mp4", clip("pan").frames[:1], [0.0])
    (track,) = analyze_video(path, analyzer)
    assert track.start == track.end == 0.0 and len(track.faces) == 1


def test_a_still_of_ten_hours_is_one_track_and_memory_stays(
    tmp_path: Path, analyzer: FaceAnalyzer
) -> None:
    """A frame every twenty minutes; what is kept at the end is what was kept at the third."""
    still, _ = scene([("obama", 160, 120)])
    path = write(tmp_path / "still.mp4", [still] * 31, 1200.0 * np.arange(31))
    held: list[int] = []

    def watch(_: VideoProgress) -> None:
        held.append(tracemalloc.get_traced_memory()[0])

    options, progress = VideoOptions(every=1), VideoProgress(watch)
    tracemalloc.start()
    try:
        (track,) = analyze_video(path, analyzer, options=options, progress=progress)
    finally:
        tracemalloc.stop()
    assert (track.start, track.end, len(track.times)) == (0.0, 36_000.0, 31)
    assert len(track.faces) == 10 and progress.position == 36_000.0
    assert held[-1] - held[12] < still.nbytes, "not one more frame is kept"


def test_a_video_without_faces(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    path = write(tmp_path / "wall.mp4", [scene([])[0]] * 20, np.arange(20) / RATE)
    assert list(analyze_video(path, analyzer)) == []


def test_a_telephone_held_upright(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    upright = [np.ascontiguousarray(frame[:, 40:220]) for frame in clip("zoom").frames[:9]]
    tall = [np.pad(frame, ((40, 40), (30, 30), (0, 0)), mode="edge") for frame in upright]
    sensor = [np.rot90(frame, -1) for frame in tall]
    assert tall[0].shape == (320, 240, 3) and sensor[0].shape == (240, 320, 3)
    path = write(tmp_path / "turned.mp4", sensor, clip("zoom").times[:9], rotation=90)
    (track,) = analyze_video(path, analyzer, options=EVERY_THIRD)
    x1, y1, x2, y2 = clip("zoom").truth[0]["obama"]
    truth = np.asarray([[x1 - 10, y1 + 40, x2 - 10, y2 + 40]], np.float32)
    assert iou_matrix(track.boxes[:1], truth)[0, 0] > 0.7


def test_a_part_of_a_video(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    options = dataclasses.replace(EVERY_THIRD, start=0.8, end=1.6)
    progress = VideoProgress()
    (track,) = analyzed("pan", tmp_path, analyzer, options=options, progress=progress)
    assert track.start == pytest.approx(0.8, abs=0.002) and 1.4 < track.end < 1.6
    assert (progress.frames, progress.analyzed, progress.dropped) == (20, 7, 0)
    assert progress.duration == 1.6 and progress.position == pytest.approx(1.56, abs=0.002)


def test_stopping_gives_the_tracks_so_far(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    progress = VideoProgress()
    tracks = analyzed("comes_back", tmp_path, analyzer, progress=progress)
    assert len(tracks) == 2 and progress.frames == 110
    made = clip("comes_back")
    path = write(tmp_path / "again.mp4", made.frames, made.times)
    progress = VideoProgress()
    running = analyze_video(path, analyzer, options=EVERY_THIRD, progress=progress)
    next(running)
    progress.stop()
    assert list(running) == [] and progress.frames < 110


def test_crops_of_the_best_face(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    (track,) = analyzed("zoom", tmp_path, analyzer, options=VideoOptions(every=10, crops=True))
    assert track.crop is not None and max(track.crop.shape) <= 512
    (face, *_) = analyzer.analyze(track.crop)
    assert faceprint.compare(face.embedding, track.embedding) > 0.97  # type: ignore[arg-type]


def test_with_the_pace_of_the_machine_the_answer_is_the_same(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery
) -> None:
    (track,) = analyzed("variable", tmp_path, analyzer, gallery=gallery, options=VideoOptions())
    assert track.subject == "Barack Obama" and track.end <= clip("variable").times[-1] + 0.002


def test_faces_too_poor_decide_nothing(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery
) -> None:
    options = VideoOptions(every=6, min_quality=1.0)
    made = scene([("collins", 160, 120)], 40)[0]
    path = write(tmp_path / "small.mp4", [made] * 20, np.arange(20) / RATE)
    (track,) = analyze_video(path, analyzer, gallery, options=options)
    assert track.subject is None and track.reason.startswith("quality ")
    assert track.to_dict()["decidable"] is False and track.embedding is None


def test_nothing_is_opened_before_the_first_track_is_asked_for(
    tmp_path: Path, analyzer: FaceAnalyzer
) -> None:
    running = analyze_video(tmp_path / "none.mp4", analyzer)
    with pytest.raises(InputError, match="no such file"):
        next(running)


def test_who_looks_sees_every_frame_with_names(
    tmp_path: Path, analyzer: FaceAnalyzer, gallery: faceprint.Gallery
) -> None:
    shown: list[faceprint.MarkedFrame] = []
    tracks = analyzed("crowd", tmp_path, analyzer, gallery=gallery, look=shown.append)
    assert len(tracks) == 3
    assert [frame.time for frame in shown] == pytest.approx(clip("crowd").times, abs=0.002)
    everybody = ["", "Barack Obama", "Joe Biden"]
    assert all(sorted(frame.names) == everybody for frame in shown[1:39])
    for frame in shown[1:39]:
        truth = clip("crowd").truth[round(frame.time * RATE)]
        for box, name in zip(frame.boxes, frame.names, strict=True):
            person = {"Barack Obama": "obama", "Joe Biden": "biden", "": "collins"}[name]
            expected = np.asarray([truth[person]], np.float32)
            assert iou_matrix(box[None], expected)[0, 0] > 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": -1.0},
        {"start": float("nan")},
        {"start": 2.0, "end": 2.0},
        {"end": float("nan")},
        {"every": 0},
        {"top": 0},
        {"min_quality": 2.0},
        {"timeout": 0.0},
        {"reconnect": -1.0},
        {"reconnect": float("nan")},
    ],
)
def test_options_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        VideoOptions(**wrong)  # type: ignore[arg-type]
